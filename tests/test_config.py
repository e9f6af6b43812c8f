from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from star_core.config import Objectives, Params, Section, load_params, params_from, stored_params
from star_core.errors import ConfigError
from star_core.evolution.base import Problem
from star_core.genome.baselines import PATTERNS, baseline
from star_core.objectives.base import objective
from star_core.registry import Registry

ROOT = Path(__file__).parent.parent


def test_the_shipped_parameters_are_the_defaults():
    assert load_params(ROOT / "params.yaml") == Params()


@pytest.mark.parametrize(
    "file", sorted(ROOT.glob("examples/*/params.yaml")), ids=lambda file: file.parent.name
)
def test_an_example_is_an_experiment_that_can_begin(file):
    problem = Problem(load_params(file), vocab_size=256)
    for name in (*problem.params.objectives.selected, *problem.params.objectives.constraints):
        assert objective(name).title
    for name in PATTERNS:
        assert problem.compile(baseline(name, problem.space.depth)).num_parameters > 0
    assert f"star evolve {file.parent.name} --params " in (file.parent / "README.md").read_text()


def test_the_shipped_parameters_state_every_key():
    stated = yaml.safe_load((ROOT / "params.yaml").read_text())
    for name, section in Params().model_dump().items():
        if isinstance(section, dict):
            missing = set(section) - set(stated[name])
            assert missing <= {
                "names",
                "structures",
                "cache",
                "runtime",
                "weights",
                "threads",
                "device",
                "tokenizer",
                "text_key",
            }, (
                name,
                missing,
            )


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


class Meter(Section):
    rate: int = Field(default=10, ge=1)


@pytest.mark.parametrize(
    ("section", "key", "value", "fix"),
    [
        ("training", "steps", 0, "use at least 1"),
        ("training", "clip", 0.0, "use more than 0"),
        ("space", "depth", 300, "use at most 256"),
        ("training", "seed", 2**31, "use less than 2147483648"),
        ("training", "precision", "fp16", "use 'fp32' or 'bf16'"),
        ("training", "steps", 1.5, "write a whole number"),
        ("evolution", "seeds", "x", "write a list"),
    ],
)
def test_a_refused_value_comes_with_the_bound_that_it_broke(section, key, value, fix):
    with pytest.raises(ConfigError) as caught:
        params_from({section: {key: value}}, "test")
    assert caught.value.fix == fix


class Energy(Section):
    volts: float = 12.0
    meter: Meter = Meter()


@pytest.fixture
def plugins(monkeypatch):
    """Sections whose plug-ins are those of the test alone: an objective with settings."""
    made: Registry[object] = Registry(
        "objective", "star_core.config", "star.no-such", "objectives", ConfigError
    )
    monkeypatch.setattr(Objectives, "plugins", made)
    Objectives.add_plugin("energy_joules", object(), Energy)


def energy(**stated):
    return params_from({"objectives": {"energy_joules": stated}}, "test")


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        (
            {"energy_jouls": {"volts": 3.0}},
            "test, objectives.energy_jouls: 'energy_jouls': no such key. Fix: did you mean 'energy_joules'?",
        ),
        (
            {"energy_joules": {"vlts": 3.0}},
            "test, objectives.energy_joules.vlts: 'vlts': no such key. Fix: did you mean 'volts'?",
        ),
        (
            {"energy_joules": {"volts": "high"}},
            "energy_joules.volts: 'high': input should be a valid number. Fix: write a number",
        ),
        (
            {"energy_joules": {"meter": {"rate": 0}}},
            "meter.rate: 0: input should be greater than or equal to 1. Fix: use at least 1",
        ),
        ({"energy_joules": {"meter": {"rat": 0}}}, "did you mean 'rate'?"),
        ({"energy_joules": 3}, "test, objectives.energy_joules: 3: input should be a valid dictionary"),
    ],
)
def test_settings_of_plug_ins_are_checked_as_other_keys_are(plugins, stated, message):
    with pytest.raises(ConfigError) as caught:
        params_from({"objectives": stated}, "test")
    assert message in str(caught.value)


def test_settings_of_a_plug_in_are_typed_and_have_defaults(plugins):
    stated = energy(volts=24.0).objectives
    assert stated.settings_of("energy_joules", Energy) == Energy(volts=24.0)
    assert stated.model_copy(update={"mad_steps": 3}).settings_of("energy_joules", Energy).volts == 24.0
    assert Objectives().settings_of("energy_joules", Energy) == Energy()


def test_settings_of_a_plug_in_are_part_of_the_identity_where_they_are_not_its_defaults(plugins):
    assert energy().digest == energy(volts=12.0).digest == energy(meter={}).digest == Params().digest
    changed = energy(volts=12.0, meter={"rate": 3})
    assert changed.digest != Params().digest
    assert changed.identity()["objectives"]["energy_joules"] == {"meter": {"rate": 3}}
    again = params_from(changed.identity(), "stored")
    assert again.digest == changed.digest
    assert again.objectives == changed.objectives


def test_settings_of_a_plug_in_that_is_gone_are_kept_where_it_is_named(plugins):
    stored = {"objectives": {"names": ["noise_db"], "noise_db": {"metres": 2}}}
    assert params_from(stored, "stored").identity()["objectives"]["noise_db"] == {"metres": 2}
    with pytest.raises(ConfigError, match="no such key"):
        params_from({"objectives": {"noise_db": {"metres": 2}}}, "test")


class Required(Section):
    volts: float


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("names", Energy, "cannot have the name of a key of its section"),
        ("mine", Required, "every setting of a plug-in has a default"),
        ("mine", dict, "a class derived from star_core.config.Section"),
    ],
)
def test_settings_that_cannot_work_are_refused_when_they_are_registered(plugins, name, settings, message):
    with pytest.raises(ConfigError, match=message):
        Objectives.add_plugin(name, object(), settings)


def test_a_stored_experiment_that_names_no_runtime_was_measured_on_the_first_one():
    measured = {"names": ["perplexity", "decode_seconds_per_token"]}
    assert stored_params({"objectives": measured}, "stored").objectives.runtime == "eager"
    assert (
        stored_params({"objectives": {"constraints": {"prefill_seconds": 1.0}}}, "x").objectives.runtime
        == "eager"
    )
    assert params_from({"objectives": measured}, "written").objectives.runtime == "onnxruntime"
    for objectives in (measured, {}, measured | {"runtime": "eager"}, {"runtime": "eager"}):
        params = params_from({"objectives": objectives}, "written")
        assert stored_params(params.identity(), "stored").identity() == params.identity()
    unmeasured = Params().identity()["objectives"]
    assert "runtime" not in unmeasured, "what no objective depends on changes no stored experiment"
    eager = params_from({"objectives": measured | {"runtime": "eager"}}, "written").identity()
    assert "runtime" not in eager["objectives"]


def test_a_stored_cache_counts_in_float32_and_a_new_one_as_it_is_deployed():
    bounded = {"names": ["perplexity"], "constraints": {"cache_bytes": 1e6}}
    for stored in ({}, {"preset": "quality+cache"}, bounded):
        params = stored_params({"objectives": stored}, "stored")
        assert params.objectives.cache == "f32"
        assert "cache" not in params.identity()["objectives"]
        assert params_from({"objectives": stored}, "written").identity()["objectives"]["cache"] == "bf16"
    assert (
        "cache" not in params_from({"objectives": {"preset": "quality"}}, "written").identity()["objectives"]
    )
