"""Parameters as DVC and people write them, and files that every reader reads back equal."""

import io

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from star_core.config import load_params
from star_core.config.changes import with_changes
from star_core.config.plain_yaml import ParamsLoader, PlainLoader, is_text, to_yaml
from star_core.errors import ConfigError
from tests.strategies import AMBIGUOUS_NAMES, encodings, plain_values, positive_numbers, run_names, spellings


def read_by_dvc(text):
    return YAML(typ="safe", pure=True).load(text)


@given(positive_numbers)
@example(1e-3)
@example(1e-05)
def test_a_number_is_one_however_it_is_written(number):
    for spelling in spellings(number):
        value = with_changes({}, [f"training.learning_rate={spelling}"])["training"]["learning_rate"]
        assert type(value) is float
        assert value == number
        assert yaml.load(f"- {spelling}", ParamsLoader) == read_by_dvc(f"- {spelling}")


@given(st.text("0123456789eExob_-+.:", min_size=1, max_size=8).filter(lambda text: text[0] not in "_:"))
@example("010")
@example("08")
@example("1:30")
def test_whatever_looks_like_a_number_is_what_dvc_takes_it_for(text):
    try:
        theirs = read_by_dvc(f"[{text}]")
    except Exception:  # ruamel takes more for a number than it can read
        return
    if isinstance(theirs, list) and theirs and isinstance(theirs[0], (int, float)) and "_" not in text:
        assert yaml.load(f"[{text}]", ParamsLoader) == theirs


@pytest.mark.parametrize("text", ["1e-3", "1e-05", "1E-3", "+1e-3", ".001"])
def test_a_file_of_parameters_takes_them(tmp_path, text):
    path = tmp_path / "params.yaml"
    path.write_text(f"training:\n  learning_rate: {text}\n")
    assert load_params(path).training.learning_rate == float(text)


def test_what_dvc_writes_for_an_experiment_is_read(tmp_path):
    path = tmp_path / "params.yaml"
    with path.open("w") as file:
        YAML().dump({"training": {"learning_rate": 1e-05}}, file)
    assert "1e-05" in path.read_text()
    assert load_params(path).training.learning_rate == 1e-05


@given(plain_values)
@example({"3e-4": {"run": "08"}, "x": ["1e5", "1_000", "null", 1e-5]})
def test_every_reader_reads_back_what_is_written(values):
    text = to_yaml(values)
    for reader in (
        yaml.safe_load,
        read_by_dvc,
        lambda text: yaml.load(text, PlainLoader),
        lambda text: yaml.load(io.BytesIO(text.encode()), ParamsLoader),
    ):
        assert reader(text) == values


@given(run_names)
@example("3e-4")
def test_a_name_is_text_to_all_readers_or_to_none_that_matter(name):
    if is_text(name) and name[0] != "-":
        for read in (yaml.safe_load, read_by_dvc):
            assert not isinstance(read(f"[{name}]")[0], (int, float, bool, type(None)))


@pytest.mark.parametrize("name", AMBIGUOUS_NAMES)
def test_names_that_are_none_in_some_dialect_are_known(name):
    assert not is_text(name)


@given(encodings, st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=5))
def test_a_file_of_any_encoding_says_what_it_says_or_is_refused(tmp_path_factory, encoding, name):
    path = tmp_path_factory.mktemp("p") / "params.yaml"
    path.write_bytes(f"data: {{source: 'x{name}'}}\n".encode(encoding, "ignore"))
    try:
        source = load_params(path).data.source
    except ConfigError as error:
        assert str(path) in str(error)
        assert not encoding.startswith("utf")
    else:
        assert encoding == "latin-1" or source == f"x{name}".encode(encoding, "ignore").decode(encoding)
