"""Pictures of one generation, as they are shown outside of the report."""

from __future__ import annotations

import base64
from xml.etree import ElementTree

import pytest

from star_core.analysis.report.snapshot import SHOWN, data_uri, snapshots
from star_core.population.comparison import Entry
from star_core.population.individual import Cost
from tests.analysis.runs import generation, individual

SVG = "{http://www.w3.org/2000/svg}"


def values(quality: float, size: int, cache: int) -> dict[str, float]:
    return {"perplexity": quality, "parameters": size, "cache_bytes": cache}


@pytest.fixture
def made():
    """Two survivors, one of them older, one rejected and one that failed."""
    population = [
        individual("g001-00", **values(20.0, 4000, 1024)),
        individual("g000-01", **values(30.0, 3000, 512)),
    ]
    rejected = [
        individual("g001-01", **values(40.0, 5000, 2048)),
        individual("g001-02", status="diverged", perplexity=None, parameters=5000, cache_bytes=2048),
    ]
    return generation(1, population, rejected)


def test_a_picture_stands_by_itself(made):
    baseline = Entry(
        name="transformer++",
        genome="11111",
        digest="0" * 64,
        key="1" * 64,
        status="ok",
        objectives=values(25.0, 6000, 4096),
        cost=Cost(tokens=1, flops=1),
    )
    shown = snapshots(made, [baseline])
    assert [title for title, _ in shown] == ["perplexity and parameters", "perplexity and inference cache"]
    for _, picture in shown:
        drawn = ElementTree.fromstring(picture)
        circles = list(drawn.iter(f"{SVG}circle"))
        assert {circle.findtext(f"{SVG}title") for circle in circles} == {"g001-00", "g000-01", "g001-01"}
        assert sum("winner" in circle.get("class") for circle in circles) == 2
        # Nothing is referred to that it does not define.
        assert {circle.get("style") for circle in circles} == {"fill:var(--g0)", "fill:var(--g1)"}
        style = drawn.findtext(f"{SVG}style")
        assert all(f"--g{step}:#" in style for step in (0, 1))
        assert "Transformer++" in "".join(drawn.itertext())


def test_an_image_address_holds_the_image(made):
    _, picture = snapshots(made)[0]
    kind, _, content = data_uri(picture).partition(",")
    assert kind == "data:image/svg+xml;base64"
    assert base64.b64decode(content).decode() == picture


def test_a_large_population_is_drawn_in_part_and_its_front_always():
    many = [
        individual(f"g001-{slot:02d}", **values(50.0 + slot, 4000 + slot, 64)) for slot in range(2 * SHOWN)
    ]
    best = many[-1].model_copy(update={"rank": 0})
    others = [member.model_copy(update={"rank": 1}) for member in many[:-1]]
    (_, picture), *_ = snapshots(generation(1, [*others, best]))
    assert picture.count("<title>g001-") == SHOWN
    assert f"<title>{best.id}</title>" in picture


def test_nothing_is_drawn_where_nothing_was_trained():
    failed = individual("g001-00", status="diverged", perplexity=None, parameters=10, cache_bytes=10)
    assert snapshots(generation(1, [failed])) == []
