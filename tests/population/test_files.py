import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from star_core.config import Runtime, digest_json
from star_core.errors import StarError, StoreError
from star_core.evaluation import Evaluation, is_final
from star_core.population.generation import (
    check_lineage,
    check_new_run_name,
    check_run_name,
    generation_path,
    read_generation,
    stored_generations,
)
from star_core.storage.evaluation_file import VERSION, from_bytes, to_bytes
from star_core.storage.files import parse_json, write_atomically
from tests.evolution.experiments import evolve, experiment
from tests.storage.evaluations import EVALUATION
from tests.strategies import run_names

GENERATIONS = evolve(experiment(), 2)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    for generation in GENERATIONS:
        generation.write(generation_path("test", generation.index, root))
    return root


def test_generations_come_back_equal_and_byte_identical(stored):
    assert stored_generations("test", stored) == GENERATIONS
    path = generation_path("test", 1, stored)
    assert read_generation(path).to_bytes() == path.read_bytes()


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_a_store_error(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("g") / "gen_000.json"
    path.write_bytes(content)
    with pytest.raises(StoreError) as caught:
        read_generation(path)
    assert str(path) in str(caught.value)


@given(st.data())
def test_any_field_replaced_by_anything_is_refused(stored, tmp_path_factory, data):
    content = json.loads(generation_path("test", 1, stored).read_text())
    target = content
    while True:
        key = data.draw(st.sampled_from(sorted(target) if isinstance(target, dict) else range(len(target))))
        inner = target[key]
        if not inner or not isinstance(inner, (dict, list)) or data.draw(st.booleans()):
            break
        target = inner
    value = data.draw(json_values)
    if json.dumps(value) == json.dumps(inner):
        return
    target[key] = value
    path = tmp_path_factory.mktemp("g") / "gen_001.json"
    path.write_text(json.dumps(content))
    with pytest.raises(StarError) as caught:
        read_generation(path, "test", 1)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "generation format version 1 is read here"),
        ({"version": True}, "generation format version 1 is read here"),
        ({"format": "other"}, "not a star-generation file"),
        ({"digest": "0" * 64}, "it was changed"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(stored, tmp_path, change, message):
    path = tmp_path / "gen_000.json"
    path.write_text(json.dumps(json.loads(generation_path("test", 0, stored).read_text()) | change))
    with pytest.raises(StoreError, match=message) as caught:
        read_generation(path)
    assert "Fix: restore it" in str(caught.value)


def test_a_file_in_the_place_of_another_is_refused(stored):
    with pytest.raises(StoreError, match="this place holds index 2"):
        read_generation(generation_path("test", 1, stored), "test", 2)
    with pytest.raises(StoreError, match="this place holds run 'other'"):
        read_generation(generation_path("test", 1, stored), "other", 1)


def test_a_child_of_another_parent_is_refused(stored):
    stranger = evolve(experiment(evolution={"seed": 5}), 1)
    with pytest.raises(StoreError, match="was made from another generation 0"):
        check_lineage(stranger[1], GENERATIONS[0], generation_path("test", 1, stored))


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "x" * 65, "a b", "-x", "a;rm"])
def test_run_names_cannot_leave_their_folder(name):
    with pytest.raises(StoreError, match="Fix: use"):
        check_run_name(name)


@given(run_names)
def test_a_name_is_accepted_or_another_is_proposed_that_is(name):
    try:
        check_new_run_name(name)
    except StoreError as error:
        assert check_new_run_name(error.fix.removeprefix("use ").strip("'")) != name


def test_a_write_that_fails_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file.json"
    write_atomically(path, b"old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StoreError, match=r"No space left on device.*nothing finished is lost"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("text", [b"NaN", b"[Infinity]", b"[" * 100_000, b"\xff", b"{"])
def test_json_that_is_none_is_refused(text):
    with pytest.raises(StoreError, match="not valid JSON"):
        parse_json(text, "here")


@given(st.sampled_from([field.name for field in dataclasses.fields(Evaluation)]), json_values, st.booleans())
def test_any_field_of_an_evaluation_replaced_is_refused(name, value, resealed):
    content = json.loads(to_bytes(EVALUATION))
    if json.dumps(content[name]) == json.dumps(value):
        return
    content[name] = value
    if resealed:  # by somebody who knows how
        content["checksum"] = digest_json({key: content[key] for key in dataclasses.asdict(EVALUATION)})
    try:
        found = from_bytes(json.dumps(content).encode(), EVALUATION.key, "here")
    except StoreError as error:
        assert str(error).startswith("here")
        assert "delete here" in str(error)
    else:
        assert resealed
        assert found.status != "ok" or 0 <= found.metrics["validation_loss"] <= 100


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": True}, "evaluation format version 1 is read here"),
        ({"tokens": True}, "tokens: input should be a valid integer"),
        ({"flops": -1}, "flops: input should be greater than or equal to 0"),
        ({"seconds": {"total": True}}, "seconds.total: input should be a valid number"),
        ({"limits": {"memory_mib": 10**400}}, "limits.memory_mib: input should be a finite number"),
        ({"status": "fine"}, "status: input should be 'ok', 'diverged'"),
        ({"machine": []}, "machine: input should be an object"),
        ({"key": 1}, "key: input should be a valid string"),
        ({"surprise": 1}, "surprise: unexpected keyword argument"),
        ({"metrics": {}}, "a finished evaluation has a validation_loss"),
    ],
)
def test_what_is_wrong_with_an_evaluation_is_said(change, message):
    record = json.loads(to_bytes(EVALUATION)) | change
    unsealed = ("format", "version", "checksum")
    record["checksum"] = digest_json({name: value for name, value in record.items() if name not in unsealed})
    with pytest.raises(StoreError, match=message) as caught:
        from_bytes(json.dumps(record).encode(), EVALUATION.key, "here")
    assert "Fix: delete here" in str(caught.value)


@pytest.mark.parametrize(("deadline", "final"), [(1, True), (5, True), (6, False)])
def test_what_ran_into_a_limit_is_worth_another_try_once_that_is_higher(deadline, final):
    late = dataclasses.replace(EVALUATION, status="timed_out", metrics={}, limits={"deadline_seconds": 5})
    assert is_final(late, Runtime(deadline_seconds=deadline)) == final
    assert is_final(EVALUATION, Runtime(deadline_seconds=deadline))


def test_evaluations_of_every_format_that_was_ever_stored_are_read():
    """A new format version adds a file, and a reader of the old ones."""
    files = sorted((Path(__file__).parent / "formats").glob("evaluation_*.json"))
    assert [path.stem for path in files] == [f"evaluation_{version}" for version in range(1, VERSION + 1)]
    for path in files:
        assert from_bytes(path.read_bytes(), EVALUATION.key, str(path)) == EVALUATION
