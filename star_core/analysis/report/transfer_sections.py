"""The report's section on transfer: how well cheap numbers order candidates, as a table and in pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from markupsafe import Markup

from star_core import units
from star_core.analysis.drawing.axes import Axis, axis, frame, picture
from star_core.analysis.drawing.charts import tick_base, value_label
from star_core.analysis.drawing.markup import tag
from star_core.analysis.report.wording import shown_name, title_of, value_of
from star_core.analysis.run.rank_correlation import FEWEST, Correlation
from star_core.analysis.run.results import Results
from star_core.analysis.run.transfer import CACHE, FLOPS, PARAMETERS, Study
from star_core.errors import StarError
from star_core.objectives.devices import latency_model, stated

WIDTH, HEIGHT = 300.0, 236.0
LEFT, RIGHT, TOP, BOTTOM = 56.0, 12.0, 44.0, 44.0
CROWDED = 40
"""Candidates from which on dots are small."""
_NAMES = {PARAMETERS: "parameter count", FLOPS: "FLOPs per token"}


def transfer(results: Results, found: Sequence[Study]) -> dict[str, object] | None:
    """Rank correlations of every estimate with everything that was found out later; nothing without any."""
    if not found:
        return None
    estimates = [results.quality, PARAMETERS, CACHE, FLOPS]
    rows = [
        (
            tag("span", _against(study), class_="nobreak"),
            f"{len(study.points):,}",
            *(_cell(study.correlations.get(name)) for name in estimates),
        )
        for study in found
    ]
    return {
        "measure": title_of(results.quality),
        "tokens": units.count(results.params.training.tokens),
        "size": _size(results),
        "fewest": FEWEST,
        "rows": rows,
        "estimates": [_estimate(results, name) for name in estimates],
        "findings": [
            *(_verdict(results, study) for study in found),
            _selection(results, found),
            _certainty(found),
            *_device_errors(results, found),
        ],
        "key": _key(results),
        "pictures": [
            (_against(study), [_scatter(results, study, name) for name in study.estimates])
            for study in found
            if len(study.points) >= FEWEST
        ],
    }


def _key(results: Results) -> list[tuple[Markup, str]]:
    """The shapes of the pictures and what they mean."""
    shapes = [("dot", "individual")]
    for index, baseline in enumerate(results.baselines):
        shapes.append(("square" if index else "diamond", shown_name(baseline.name)))
    return [(_point(8, 8, said, shape), said) for shape, said in shapes]


def _size(results: Results) -> str:
    params = results.params
    return f"{units.plural(params.space.depth, 'LIV')} × width {params.model.width}"


def _estimate(results: Results, name: str) -> str:
    if name == CACHE:
        return f"cache at {results.cache_length:,}"
    return _NAMES.get(name) or f"proxy: {title_of(name)}"


def _against(study: Study) -> str:
    return f"{title_of(study.measure)}, {study.title}"


def _cell(correlation: Correlation | None) -> str:
    return units.MISSING if correlation is None else correlation.text


def _verdict(results: Results, study: Study) -> str:
    """Whether the proxy beat parameter count; empty where that cannot be said."""
    proxy, trivial = (study.correlations.get(name) for name in (results.quality, PARAMETERS))
    if not proxy or not trivial or proxy.tau is None or trivial.tau is None:
        return ""
    word = "no better than"
    if proxy.tau != trivial.tau:
        word = "better than" if proxy.tau > trivial.tau else "worse than"
    lows, highs = ([correlation.low or 0.0, correlation.high or 0.0] for correlation in (proxy, trivial))
    overlap = max(lows[0], highs[0]) <= min(lows[1], highs[1])
    unsure = ", but the intervals overlap" if overlap and proxy.tau != trivial.tau else ""
    return (
        f"Against {study.title} it orders candidates {word} parameter count does "
        f"(τ {units.signed(proxy.tau)} and {units.signed(trivial.tau)}{unsure})."
    )


def _selection(results: Results, found: Sequence[Study]) -> str:
    """How narrow a choice the retrained individuals are."""
    names = {point.name for study in found if study.selected for point in study.points}
    spans = []
    for members in (names & results.candidates.keys(), results.candidates):
        known = (results.candidates[name] for name in members)
        values = [
            value for candidate in known if (value := results.value(candidate, results.quality)) is not None
        ]
        if not values:
            return ""
        low, high = (value_of(results.quality, end) for end in (min(values), max(values)))
        spans.append(low if low == high else f"{low} to {high}")
    return (
        f"Retrained individuals are the front’s best, not a sample: {spans[0]} in the search, where all "
        f"candidates have {spans[1]}. So narrow a choice makes τ smaller and less sure than among all."
    )


def _certainty(found: Sequence[Study]) -> str:
    """A warning where an interval has no width."""
    perfect = [
        correlation.candidates
        for study in found
        for correlation in study.correlations.values()
        if correlation.tau is not None and abs(correlation.tau) == 1
    ]
    if not perfect:
        return ""
    fewest = min(perfect)
    orders = f"{math.factorial(fewest):,}" if fewest < 10 else "more than a million"
    return (
        "An interval without width is no certainty, since every resampling of a perfect order is perfect; "
        f"{fewest} candidates have {orders} orders."
    )


def _device_errors(results: Results, found: Sequence[Study]) -> list[str]:
    """How far the predictions of a device are off, where a device stands in for measurements."""
    section = results.params.objectives
    if section.device is None:
        return []
    try:
        errors = stated(latency_model(section))
    except StarError:
        return [
            "The figures of this device are not stored here any more, and how far they are off with them."
        ]
    return [
        f"Predicted {title_of(study.measure)}: {errors[study.measure]}."
        for study in found
        if study.measure in errors
    ]


def _count(value: float) -> str:
    return units.trimmed(units.count(value))


def _point(x: float, y: float, said: str, shape: str, radius: float = 4.0) -> Markup:
    title = tag("title", said)
    if shape == "dot":
        return tag("circle", title, cx=x, cy=y, r=radius, class_="candidate")
    r = 6.0 if shape == "diamond" else 4.6
    corners = f"M{x - r:.1f} {y:.1f}L{x:.1f} {y - r:.1f}L{x + r:.1f} {y:.1f}L{x:.1f} {y + r:.1f}Z"
    if shape == "square":
        corners = f"M{x - r:.1f} {y - r:.1f}h{2 * r}v{2 * r}h{-2 * r}Z"
    return tag("path", title, d=corners, class_="mark")


def _sparse(dense: Axis) -> Axis:
    """With as many ticks as fit a small picture."""
    ticks: list[float] = []
    for value in dense.ticks:
        room = 8.0 * len(dense.label(value)) if dense.start < dense.end else 20.0
        if not ticks or abs(dense(value) - dense(ticks[-1])) >= room:
            ticks.append(value)
    return replace(dense, ticks=tuple(ticks))


def _scatter(results: Results, study: Study, name: str) -> Markup:
    """Estimate against outcome: dots for individuals, open diamonds and squares for the baselines."""
    points = [(point, point.estimates[name], point.reached) for point in study.points]
    label = _count if name == FLOPS else value_label(name)
    x = axis([at for _, at, _ in points], LEFT, WIDTH - RIGHT, label, base=tick_base(name))
    heights = [up for *_, up in points]
    y = axis(heights, HEIGHT - BOTTOM, TOP, value_label(study.measure), base=tick_base(study.measure))
    baselines = [baseline.name for baseline in results.baselines]
    parts = [frame(_sparse(x), _sparse(y), _estimate(results, name), "")]
    radius = 4.0 if len(points) <= CROWDED else 2.4
    for point, at, up in sorted(points, key=lambda entry: entry[0].name in baselines):
        said = (
            f"{shown_name(point.name)}: {_estimate(results, name)} {label(at)}, "
            f"{title_of(study.measure)} {value_of(study.measure, up)}"
        )
        shape = "dot"
        if point.name in baselines:
            shape = "square" if baselines.index(point.name) else "diamond"
        parts.append(_point(x(at), y(up), said, shape, radius))
    tau = study.correlations[name]
    head = f"τ = {_cell(tau)}" if tau.tau is not None else _cell(tau)
    parts.append(tag("text", head, x=LEFT, y=16, class_="mark-label"))
    parts.append(tag("text", title_of(study.measure), x=LEFT, y=TOP - 12, class_="title"))
    return picture(WIDTH, HEIGHT, *parts, label=f"{title_of(study.measure)} against {name}")
