"""Another device's figures: the table that is fitted to them, and searches that name the device."""

import numpy as np
import pytest

from star_core import Genome, SearchSpace, compile_genome
from star_core.analysis.terminal.explain import explained
from star_core.config import Objectives, load_params, stored_params
from star_core.errors import ConfigError, StarError, StoreError
from star_core.evolution.base import Problem
from star_core.evolution.limits import check_limits
from star_core.measurement.bundle import Measurements, design
from star_core.measurement.latency_model import fit_device
from star_core.objectives.base import measure, objective_of, probes, spreads
from star_core.objectives.devices import Figure, LatencyModel, Time, liv_key, stated
from star_core.semantics import MODEL

SPACE = SearchSpace.preset("lfm2", depth=6)
WIDTH, PROMPT, CONTEXT = 32, 64, 256
COSTS = {"prefill_seconds": 1e-3, "decode_seconds_per_token": 1e-5, "peak_memory_bytes": 1e6}
PARAMS = """
space: {preset: lfm2, depth: 6}
model: {width: 32}
objectives: {names: [perplexity, decode_seconds_per_token], prompt_length: 64, cache_length: 256, device: pi5}
"""


def truth(spec, quantity):
    """A device on which every LIV of a kind costs the same, whatever stands beside it."""
    unit = COSTS[quantity]
    return unit * (2 + sum(1 + len(liv_key(layer)) % 7 for layer in spec.layers))


def figure(spec, noise=1.0, disturbed=0.0, memory=True):
    times = [
        Time(median=value, spread=0.01, low=value, high=value, repeats=5, disturbed=disturbed)
        for value in (noise * truth(spec, name) for name in ("prefill_seconds", "decode_seconds_per_token"))
    ]
    held = round(truth(spec, "peak_memory_bytes")) if memory else None
    genome = str(spec.genome)
    size = {"width": spec.width, "head_dim": spec.dims.head_dim}
    return Figure(
        genome=genome,
        digest=spec.digest,
        **size,
        prefill_seconds=times[0],
        decode_seconds_per_token=times[1],
        peak_memory_bytes=held,
        refused=None,
    )


def measurements(figures):
    return Measurements(
        bundle="0" * 64,
        machine={"processor": "Cortex"},
        runtime="onnxruntime",
        runtime_version="1.30",
        threads=1,
        weights="f32",
        prompt=PROMPT,
        context=CONTEXT,
        vocab_size=256,
        semantics=MODEL,
        figures=tuple(figures),
    )


SPECS = [compile_genome(genome, SPACE, WIDTH) for genome in design(SPACE)]


def fitted(name="pi5", specs=SPECS, **figures):
    return fit_device(name, measurements(figure(spec, **figures) for spec in specs), specs)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a device and the parameters of a search for it."""
    monkeypatch.chdir(tmp_path)
    fitted().write(tmp_path / "data" / "devices" / "pi5.json")
    (tmp_path / "params.yaml").write_text(PARAMS)
    return tmp_path


@pytest.mark.parametrize("quantity", list(COSTS))
def test_what_is_a_sum_over_livs_is_found_and_its_error_with_it(quantity):
    model = fitted()
    rng = np.random.default_rng(3)
    table = model.tables[quantity]
    assert table.determined
    for spec in (compile_genome(SPACE.sample(rng), SPACE, WIDTH) for _ in range(20)):
        if not model.unseen(spec):
            assert model.predict(spec, quantity) == pytest.approx(truth(spec, quantity), rel=1e-6)
    assert table.errors.genomes == len(SPECS)
    assert table.errors.median < 1e-6
    assert table.errors.tau > 0.95  # ties of the truth are rounded apart
    assert "median error 0.0 %" in stated(model)[quantity]


def test_the_error_that_is_stated_is_that_of_models_left_out():
    specs = [compile_genome(Genome.parse("-".join(["91111"] * n)), SPACE, WIDTH) for n in range(1, 8)]
    figures = [figure(spec) for spec in specs]
    figures[3] = figure(specs[3], noise=1.5)
    errors = fit_device("pi5", measurements(figures), specs).tables["decode_seconds_per_token"].errors
    assert errors.largest == pytest.approx(1 / 3, abs=0.1)


def test_a_liv_that_was_not_measured_is_estimated_from_its_features_and_named():
    model = fitted()
    spec = compile_genome(Genome.parse("11111-91111"), SearchSpace.preset(), WIDTH)
    assert model.unseen(spec) == ["SA-1"]
    known = compile_genome(Genome.parse("91111"), SPACE, WIDTH)
    for quantity in COSTS:
        assert model.predict(spec, quantity) > model.predict(known, quantity)
    assert "SA-1" not in model.unseen(known)


def test_models_that_do_not_tell_livs_apart_are_said_to():
    pair = [compile_genome(Genome.parse("-".join(["71111-91111"] * n)), SPACE, WIDTH) for n in (1, 2, 3)]
    model = fitted(specs=pair)
    assert not model.tables["prefill_seconds"].determined
    assert "do not tell all LIVs apart" in stated(model)["prefill_seconds"]


def test_what_was_disturbed_or_refused_or_not_told_is_left_out():
    figures = [figure(spec) for spec in SPECS]
    figures[5] = figure(SPECS[5], noise=30.0, disturbed=0.5)
    refused = {"prefill_seconds": None, "decode_seconds_per_token": None, "refused": "no such operator"}
    figures[7] = figures[7].model_copy(update=refused)
    table = fit_device("pi5", measurements(figures), SPECS).tables["prefill_seconds"]
    assert table.errors.genomes == len(SPECS) - 2
    assert table.errors.median < 1e-6
    assert set(fitted(memory=False).tables) == {"prefill_seconds", "decode_seconds_per_token"}
    figures[0] = figures[0].model_copy(update={"peak_memory_bytes": 0})
    assert "peak_memory_bytes" not in fit_device("pi5", measurements(figures), SPECS).tables
    with pytest.raises(ConfigError, match="at least 3 models of one size"):
        fitted(specs=SPECS[:2])


def test_an_objective_of_a_device_is_static_and_exact(here):
    params = load_params("params.yaml")
    section = params.objectives
    spec = compile_genome(Genome.parse("31111-91111"), SPACE, WIDTH)
    values, _, failure = measure(spec, {"validation_loss": 1.0}, section)
    assert failure is None
    assert values["decode_seconds_per_token"] == pytest.approx(truth(spec, "decode_seconds_per_token"))
    assert probes(section) == ()
    assert spreads({}, section) == {}
    assert not objective_of(section, "decode_seconds_per_token").needs_process
    assert measure(spec, None, section)[0]["decode_seconds_per_token"] is not None
    here_measured = Objectives(names=["decode_seconds_per_token"])
    assert len(probes(here_measured)) == 1
    shown = explained(spec, section)
    assert shown.data["predicted"]["prefill_seconds"] == pytest.approx(truth(spec, "prefill_seconds"))


def test_the_devices_digest_is_part_of_a_run(here):
    params = load_params("params.yaml")
    model = fitted()
    assert params.objectives.device == f"pi5@{model.digest}"
    identity = params.identity()
    assert identity["objectives"]["device"] == f"pi5@{model.digest}"
    assert "runtime" not in identity["objectives"]
    assert stored_params(identity, "here").digest == params.digest
    assert "device" not in stored_params({}, "here").identity()["objectives"]
    other = fitted(noise=2.0)
    other.write(here / "data" / "devices" / "pi5.json")
    assert load_params("params.yaml").digest != params.digest
    spec = compile_genome(Genome.parse("91111"), SPACE, WIDTH)
    with pytest.raises(ConfigError, match="was measured again since the run began"):
        measure(spec, None, params.objectives)
    (here / "data" / "devices" / "pi5.json").unlink()
    assert stored_params(identity, "here").digest == params.digest, "a stored run is read without the device"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("objectives.device=pi6", "no figures of such a device are stored here.*did you mean 'pi5'"),
        ("objectives.device=../pi5", "objectives.device"),
        ("objectives.runtime=onnxruntime", "a device brings its runtime"),
    ],
)
def test_a_device_that_cannot_be_meant_is_refused(here, change, message):
    with pytest.raises(StarError, match=message):
        load_params("params.yaml", [change])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("objectives.weights=int4", "was measured with f32"),
        ("objectives.cache_length=512", "was measured with 256"),
        ("objectives.prompt_length=65", "was measured with 64"),
        ("objectives.threads=2", "was measured with 1"),
        ("model.width=64", "was measured at width 32"),
    ],
)
def test_other_conditions_than_the_devices_are_refused_before_anything_is_trained(here, change, message):
    check_limits(Problem(load_params("params.yaml"), 256))
    with pytest.raises(ConfigError, match=message):
        check_limits(Problem(load_params("params.yaml", [change]), 256))


def test_at_another_size_nothing_is_claimed(here):
    section = load_params("params.yaml").objectives
    wide = compile_genome(Genome.parse("91111"), SPACE, 64)
    values, violation, failure = measure(wide, {"validation_loss": 1.0}, section)
    assert (values["decode_seconds_per_token"], violation, failure) == (None, 0, None)
    assert values["perplexity"] is not None
    assert "was measured at width 32" in str(list(explained(wide, section).parts)[-1])


def test_a_device_file_that_was_edited_is_refused(here):
    path = here / "data" / "devices" / "pi5.json"
    path.write_text(path.read_text().replace('"constant": ', '"constant": 1', 1))
    with pytest.raises(StoreError, match="it was changed"):
        LatencyModel.read(path, "")
    with pytest.raises(StarError, match="it was changed"):
        check_limits(Problem(load_params("params.yaml"), 256))
