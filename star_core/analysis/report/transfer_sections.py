"""The report's section on transfer: how well cheap numbers order candidates, as a table and in pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from star_core import units
from star_core.analysis.drawing.axes import Axis, axis, frame, picture
from star_core.analysis.drawing.charts import tick_base, value_label
from star_core.analysis.drawing.markup import Markup, join, tag
from star_core.analysis.report.figures import section
from star_core.analysis.report.listings import Column, listing
from star_core.analysis.report.wording import shown_name, title_of, value_of
from star_core.analysis.run.rank_correlation import FEWEST, Correlation
from star_core.analysis.run.results import Results
from star_core.analysis.run.transfer import CACHE, FLOPS, PARAMETERS, Study

WIDTH, HEIGHT = 300.0, 236.0
LEFT, RIGHT, TOP, BOTTOM = 56.0, 12.0, 44.0, 44.0
CROWDED = 40
"""Candidates from which on dots are small."""
_NAMES = {PARAMETERS: "parameter count", FLOPS: "FLOPs per token"}


def transfer(results: Results, found: Sequence[Study]) -> Markup:
    """Rank correlations of every estimate with everything that was found out later; nothing without any."""
    if not found:
        return Markup()
    measure = title_of(results.quality)
    lead = (
        "Does what the search measures order candidates as they turn out? Kendall’s τ-b: 1 is the same "
        "order, 0 unrelated, −1 the opposite; in brackets what 95 % of resamplings of the candidates give. "
        f"For {measure}, more parameters, cache and FLOPs are taken for better; for measured time and "
        "memory, for more. A proxy is worth its training only if it beats bare parameter count. Below "
        f"{FEWEST} candidates nothing is said."
    )
    proxy = f"{measure} in the search, {units.count(results.params.training.tokens)} tokens"
    estimates = [results.quality, PARAMETERS, CACHE, FLOPS]
    columns = [
        Column("against"),
        Column("candidates", True),
        *(Column(_estimate(results, name), True) for name in estimates),
    ]
    rows = [
        (
            tag("span", _against(study), class_="nobreak"),
            f"{len(study.points):,}",
            *(_cell(study.correlations.get(name)) for name in estimates),
        )
        for study in found
    ]
    pictures = [_pictures(results, study) for study in found if len(study.points) >= FEWEST]
    said = [*(_verdict(results, study) for study in found), _selection(results, found), _certainty(found)]
    return section(
        "Transfer",
        tag("p", lead, class_="lead"),
        tag("div", listing(columns, rows), class_="wide"),
        tag(
            "p",
            " ".join(
                [f"The proxy is {proxy}, {_size(results)}.", *(sentence for sentence in said if sentence)]
            ),
        ),
        _key(results) if any(pictures) else "",
        *pictures,
    )


def _key(results: Results) -> Markup:
    """What the shapes of the pictures mean."""
    shapes = [("dot", "individual")]
    for index, baseline in enumerate(results.baselines):
        shapes.append(("square" if index else "diamond", shown_name(baseline.name)))
    entries = [
        tag(
            "span",
            tag("svg", _point(8, 8, said, shape), viewBox="0 0 16 16", class_="shape", aria_hidden="true"),
            said,
        )
        for shape, said in shapes
    ]
    return tag("p", join(entries), class_="legend")


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
    if correlation is None:
        return units.MISSING
    if correlation.too_few:
        return "too few"
    if correlation.tau is None or correlation.low is None or correlation.high is None:
        return "all tied"
    return f"{_plain(correlation.tau)} [{_plain(correlation.low)}, {_plain(correlation.high)}]"


def _plain(value: float) -> str:
    text = f"{value:.2f}"
    return "0.00" if text == "-0.00" else text.replace("-", units.MINUS)


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
        f"(τ {_plain(proxy.tau)} and {_plain(trivial.tau)}{unsure})."
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


def _count(value: float) -> str:
    return units.trimmed(units.count(value))


def _pictures(results: Results, study: Study) -> Markup:
    """A scatter plot for each estimate."""
    shown = [tag("figure", _scatter(results, study, name)) for name in study.estimates]
    return join((tag("h3", _against(study)), tag("div", join(shown), class_="row")))


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
