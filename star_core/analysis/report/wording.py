"""Names and sentences of the report: what things are called, and the finding in one plain sentence."""

from __future__ import annotations

from collections.abc import Sequence

from star_core import units
from star_core.analysis.run.candidates import Candidate
from star_core.analysis.run.results import TRANSFORMER, Results
from star_core.objectives.base import described

_NAMES = {TRANSFORMER: "Transformer++", "striped-hybrid": "Striped hybrid"}


def shown_name(name: str) -> str:
    """A baseline as people write it; any other name as it is."""
    return _NAMES.get(name, name)


def title_of(name: str) -> str:
    """An objective as people call it; its bare name if it is not installed here."""
    return described(name).title


def value_of(name: str, value: float | None) -> str:
    """An objective's value in its unit; a plain number if the objective is not installed here."""
    return described(name).text(value)


def sizes(results: Results, candidate: Candidate) -> tuple[str, str]:
    """Parameters and inference cache, which every architecture is shown with."""
    parameters, cache = (results.value(candidate, name) for name in ("parameters", "cache_bytes"))
    return value_of("parameters", parameters), value_of("cache_bytes", cache)


def enumeration(parts: Sequence[str], word: str = "and") -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} {word} {parts[-1]}"


def headline(results: Results) -> str:
    """What the run found, honestly: against each baseline, in perplexity, parameters and cache."""
    best = results.best
    if best is None:
        return (
            f"After {units.plural(results.last.index, 'generation')} no individual of the population "
            "was trained and meets the constraints."
        )
    measure = title_of(results.quality)
    value = results.value(best, results.quality)
    if value is None:
        return f"{best.name} is the best of the population, but its {measure} is not known."
    said = value_of(results.quality, value)
    rivals = [
        (baseline, reached)
        for baseline in results.baselines
        if (reached := results.value(baseline, results.quality)) is not None
    ]
    start = _stage(results)
    if not rivals:
        return (
            f"{start}, the best architecture, {best.name}, reaches {measure} {said} "
            f"with {_sizes(results, best)}; no baseline has been trained to compare it with."
        )
    beaten = [baseline for baseline, reached in rivals if value < reached]
    matched = [baseline for baseline, reached in rivals if value == reached]
    lost = [baseline for baseline, reached in rivals if value > reached]
    if not lost and not matched:
        everyone = {1: "the baseline", 2: "both baselines"}.get(len(rivals), "every baseline")
        verdict = f"the best architecture, {best.name}, beats {everyone} at equal training"
    elif lost and not beaten and not matched:
        verdict = f"nothing beats the baselines yet: the best, {best.name}, falls short at equal training"
    else:
        clauses = [
            f"{verb} {enumeration([shown_name(baseline.name) for baseline in group])}"
            for verb, group in (("beats", beaten), ("equals", matched), ("does not beat", lost))
            if group
        ]
        verdict = f"the best architecture, {best.name}, {enumeration(clauses, 'but')} at equal training"
    against = enumeration(
        [
            f"{value_of(results.quality, reached)} for {shown_name(baseline.name)}"
            for baseline, reached in rivals
        ]
    )
    return f"{start}, {verdict}: {measure} {said} against {against}, with {_compared(results, best)}."


def _stage(results: Results) -> str:
    if results.last.index == 0:
        return f"Among {units.plural(results.progress[-1].evaluated, 'founder')}, before any evolution"
    evaluated = units.plural(results.progress[-1].evaluated, "candidate")
    return f"After {units.plural(results.last.index, 'generation')} and {evaluated}"


def _sizes(results: Results, candidate: Candidate) -> str:
    parameters, cache = sizes(results, candidate)
    return f"{parameters} parameters and {cache} of inference cache at {results.cache_length:,} tokens"


def _compared(results: Results, candidate: Candidate) -> str:
    """Sizes against Transformer++: ``30 % fewer parameters than Transformer++ but 2.5 times its cache``."""
    rival, length = results.transformer, f"{results.cache_length:,} tokens"
    ratios = []
    for name in ("parameters", "cache_bytes"):
        value, reference = results.value(candidate, name), results.value(rival, name)
        ratios.append(value / reference if value is not None and reference else 1.0)
    parameters, cache = ratios
    many = _amount(parameters, "{} fewer parameters than", "{} more parameters than", "as many parameters as")
    if parameters >= 2:
        many = f"{parameters:.1f} times the parameters of"
    large = _amount(cache, "a {} smaller cache", "a {} larger cache", "an equally large cache")
    if cache >= 2:
        large = f"{cache:.1f} times its cache"
    same = units.change(1.0, 1.0)
    opposed = (parameters - 1) * (cache - 1) < 0 and same not in (
        units.change(parameters, 1.0),
        units.change(cache, 1.0),
    )
    return f"{many} {shown_name(TRANSFORMER)} {'but' if opposed else 'and'} {large} at {length}"


def _amount(ratio: float, less: str, more: str, equal: str) -> str:
    text = units.change(ratio, 1.0).lstrip("+−±")
    return equal if text == "0 %" else (less if ratio < 1 else more).format(text)


def trade_off(results: Results) -> str:
    """What the front offers at the quality of Transformer++; empty if that was not trained."""
    rival = results.transformer
    level = results.value(rival, results.quality)
    if level is None or not results.front:
        return ""
    measure = title_of(results.quality)
    reached = [(candidate, results.value(candidate, results.quality)) for candidate in results.front]
    as_good = [candidate for candidate, value in reached if value is not None and value <= level]
    if not as_good:
        return f"No member of the front reaches the {measure} of {shown_name(TRANSFORMER)}."
    offers = []
    for name, singular in (("parameters", "parameters"), ("cache_bytes", "inference cache")):
        least = min(as_good, key=lambda candidate: (results.value(candidate, name) or 0.0, candidate.name))
        value, reference = results.value(least, name), results.value(rival, name)
        if value is not None and reference and value < reference:
            saved = units.change(value, reference).lstrip("−")
            word = "fewer" if name == "parameters" else "less"
            offers.append(f"up to {saved} {word} {singular} ({least.name})")
    start = f"At the {measure} of {shown_name(TRANSFORMER)} or better, the front offers"
    if not offers:
        return f"{start} neither fewer parameters nor a smaller cache."
    return f"{start} {enumeration(offers)}."
