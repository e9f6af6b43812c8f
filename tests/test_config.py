from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from star_core.config import Params, load_params, params_from
from star_core.errors import ConfigError

ROOT = Path(__file__).parent.parent


def test_the_shipped_parameters_are_the_defaults():
    assert load_params(ROOT / "params.yaml") == Params()


def test_the_shipped_parameters_state_every_key():
    stated = yaml.safe_load((ROOT / "params.yaml").read_text())
    for name, section in Params().model_dump().items():
        if isinstance(section, dict):
            missing = set(section) - set(stated[name])
            assert missing <= {"names", "structures"}, (name, missing)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "evolution: {popluation: 8}",
            "evolution.popluation: 'popluation': no such key. Fix: did you mean 'population'",
        ),
        ("trainnig: {}", "did you mean 'training'"),
        ("training: {steps: 0}", "training.steps: 0: input should be greater than or equal to 1"),
        ("training: {steps: ten}", "training.steps: 'ten'"),
        ("training: {steps: .nan}", "training.steps"),
        ("objectives: {preset: qualty}", "no such preset of objectives. Fix: did you mean 'quality'"),
        ("objectives: {names: [perplexity, perplexity]}", "at least one objective, each once"),
        ("[1, 2]", "parameters are a mapping"),
        ("a: [", "not YAML"),
        ("evolution: 3", "evolution"),
        ("training: {betas: [2.0, 3.0]}", "training.betas.0: 2.0"),
        ("generations: 1\ngenerations: 2", "the key 'generations' stands twice"),
        ("data: &a {}\nspace: *a", "aliases"),
    ],
)
def test_a_bad_file_is_one_message_with_file_key_value_and_fix(tmp_path, text, message):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_params(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert "Fix:" in str(caught.value)


def test_a_missing_file_is_an_error_that_names_it(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere.yaml: cannot be read"):
        load_params(tmp_path / "nowhere.yaml")


@given(st.binary(max_size=64))
def test_arbitrary_bytes_are_parameters_or_a_config_error(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("p") / "params.yaml"
    path.write_bytes(content)
    try:
        load_params(path)
    except ConfigError as error:
        assert str(path) in str(error)


def test_what_changes_no_result_is_not_part_of_the_identity():
    base = params_from({}, "test")
    same = params_from({"generations": 9, "runtime": {"workers": 3}, "retrain": {"top": 1}}, "test")
    assert same.digest == base.digest
    assert params_from({"evolution": {"seed": 1}}, "test").digest != base.digest
