"""The commands that need no flow, and the README's."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from star_core import Genome, SearchSpace, compile_genome
from star_core.cli import main
from star_core.cli.panels import PANELS
from star_core.structures import class_table, structures
from star_core.structures.registered import operator_genes
from star_core.vocabulary.tables import BACKBONE_GENES, FEATURIZER_GENES
from tests.analysis.runs import evolve, experiment, fill_store, store_run
from tests.commands import APPLICATION

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
NAME_A_RUN = {
    *("evolve", "plan", "resume", "reproduce", "report", "evaluate", "retrain", "doctor", "deploy"),
    *("prepare", "baselines", "generation", "fork", "pick"),
}
READ_PARAMETERS = {*NAME_A_RUN, "inspect", "measure"} - {"reproduce", "evaluate"}
PRINT_DATA = {
    *("genes", "inspect", "plan", "measure", "evaluate", "reproduce", "doctor", "runs", "report"),
    *("evolve", "resume", "retrain", "pick", "generate"),
}


def parameters(name):
    """Parameters of a command by the longest spelling of each."""
    return {max(entry.opts, key=len): entry for entry in APPLICATION.commands[name].params}


def test_a_run_is_named_first_and_is_main_if_it_is_not_named():
    for name in NAME_A_RUN:
        first = APPLICATION.commands[name].params[0]
        assert (first.name, first.param_type_name) == ("run", "argument"), name
        assert not first.required
        assert first.default == (None if name == "doctor" else "main")
        assert "--run" not in parameters(name)
    named = {
        name for name, command in APPLICATION.commands.items() if any(p.name == "run" for p in command.params)
    }
    assert named == NAME_A_RUN


@pytest.mark.parametrize("option", ["--params", "--to", "--tasks", "--export", "--prompts"])
def test_a_path_may_begin_with_the_home_folder(option, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    found = [(name, parameters(name)[option]) for name in APPLICATION.commands if option in parameters(name)]
    assert found
    for name, entry in found:
        context = typer.Context(APPLICATION.commands[name])
        assert str(entry.process_value(context, "~/x")) == f"{tmp_path}/x", name
        assert str(entry.process_value(context, "x/~")) == "x/~"
        assert entry.required or entry.process_value(context, None) is None


def test_options_that_several_commands_have_are_the_same_everywhere():
    for name in READ_PARAMETERS:
        assert parameters(name)["--params"].default is None
        assert parameters(name)["--set"].multiple
    for name, command in APPLICATION.commands.items():
        assert ("--json" in parameters(name)) == (name in PRINT_DATA), name
        for entry in command.params:
            assert entry.help or getattr(entry, "hidden", False), (name, entry.name)
        assert command.rich_help_panel in PANELS


@pytest.fixture
def star(monkeypatch, capfd):
    """Types a command in this process, where a second interpreter would show nothing more."""

    def typed(*arguments, code=0, cwd=ROOT, **environment):
        for name, value in {"COLUMNS": "300", **environment}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(cwd)
        monkeypatch.setattr(sys, "argv", ["star", *arguments])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        output, errors = capfd.readouterr()
        assert (ended.value.code or 0) == code, output + errors
        return output + errors

    monkeypatch.setattr("star_core.cli.load_entry_points", lambda *_: [])  # they are registered above
    return typed


def test_help_is_grouped_and_names_exit_codes_and_versions(star):
    output = star("--help")
    assert sorted(PANELS, key=output.index) == list(PANELS)
    assert "130 interrupted" in output
    versions = star("--version")
    assert re.fullmatch(r"star-open \d\S+, Python 3\.\d+\.\d+, torch 2\S+\n", versions)


def test_the_command_line_is_light():
    """Every candidate process imports it again."""
    heavy = ["torch", "prefect", "dvc", "pandas", "rich", "lightning", "pymoo"]
    code = f"import sys, star_core.cli, star_flows.cli; print([n for n in {heavy} if n in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"


def test_bash_completes_commands_and_runs(tmp_path):
    (tmp_path / "data/populations/mine").mkdir(parents=True)
    command = str(Path(sys.executable).parent / "star")
    shown = subprocess.check_output([command, "--show-completion", "bash"], text=True)
    assert "complete -o default -F _star_completion star" in shown

    def completed(words):
        there = {
            "_STAR_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split()) - (not words.endswith(" "))),
            "PATH": "/usr/bin:/bin",
        }
        return subprocess.run(
            [command], env=there, cwd=tmp_path, capture_output=True, text=True, check=False
        ).stdout.split()

    assert completed("star rep") == ["reproduce", "report"]
    assert completed("star report m") == ["mine"]


@pytest.mark.parametrize("arguments", [["genes"], ["inspect", "21211-31112"], ["runs"]])
def test_json_is_one_document_on_standard_output(tmp_path, arguments):
    command = [str(Path(sys.executable).parent / "star"), *arguments, "--json"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True)
    assert json.loads(result.stdout)
    assert result.stderr == ""


def test_json_holds_numbers_as_they_are(star, tmp_path):
    found = json.loads(star("inspect", "21211-31112", "--json", "--set", "model.width=96", cwd=tmp_path))
    architecture = compile_genome(Genome.parse("21211-31112"), SearchSpace.preset("paper"), width=96)
    assert found["parameters"] == architecture.num_parameters
    assert found["cache_bytes"]["4096"] == architecture.cache_bytes(4096, feature_bytes=2)
    assert [layer["genes"] for layer in found["layers"]] == ["21211", "31112"]


def test_the_old_spelling_of_a_run_still_works_and_says_so(star, tmp_path):
    (tmp_path / "params.yaml").write_text("{}")
    for old in (["--run", "nowhere"], ["--run=nowhere"]):
        output = star("retrain", "--top", "1", *old, code=2, cwd=tmp_path)
        assert output.count("deprecated") == 1
        assert "'nowhere': the run has no generation yet" in output
    # A stage's command is kept in dvc.lock as it was typed, so it is as good as the new one.
    assert "deprecated" not in star("retrain", "--run", "nowhere", code=2, cwd=tmp_path, DVC_STAGE="retrain")


def test_genes_prints_every_gene_class_and_featurizer(star):
    output = star("genes")
    for gene in (*BACKBONE_GENES, *operator_genes(), *FEATURIZER_GENES):
        assert gene.meaning in output
        assert f"{gene.low}–{gene.high}" in output
    for entry in class_table().values():
        assert entry.name in output
        assert str(entry.operator) in output
    for row in [row for structure in structures() for row in structure.featurizers.values()]:
        assert row.meaning in output
        for group in row.groups:
            assert group in output


def test_genes_explains_classes_that_a_genome_brings(star):
    output = star("genes", "--level", "own")
    for text in ("_02123-114211-", "differential variant", "semi-separable", "1,399,680", "factors 1 2 4"):
        assert text in output
    assert "_02123-114211-" in star("genes")


def test_inspect_shows_own_classes_by_digits_name_and_words(star, tmp_path):
    genome = "11111-51111_12123_54111_02143-114211-114211-321214"
    output = star("inspect", genome, cwd=tmp_path)
    for text in (
        "02143-114211-114211-321214",
        "Rec-1-Diff",
        "SA-02143.",
        "(invented)",
        "2 (differential)",
        "swish attention by head; C dense, swish; B dense, swish; V dense, short filter, one for 4",
        "recurrence; C dense, state of 16, short filter, swish",
    ):
        assert text in output
    assert output.count("(invented)") == 1
    assert "Own classes" not in star("inspect", "11111", cwd=tmp_path)


def test_inspect_says_why_a_stored_individual_failed(star, tmp_path):
    problem = experiment(evolution={"population": 6})
    made = evolve(problem, 0, failing=128)
    crashed, *others = made[0].population
    update = {"status": "crashed", "failure": "energy is nan"}
    made[0] = made[0].model_copy(update={"population": (crashed.model_copy(update=update), *others)})
    store_run(tmp_path / "data", made)
    fill_store(tmp_path / ".star/evaluations", problem, made, detail="the loss is inf")
    assert f"{crashed.id}: crashed (energy is nan)" in star("inspect", f"test:{crashed.id}", cwd=tmp_path)
    diverged = next(member for member in others if member.status == "diverged")
    said = star("inspect", f"test:{diverged.id}", cwd=tmp_path)
    assert f"{diverged.id}: diverged (the loss is inf)" in said
    told = json.loads(star("inspect", f"test:{diverged.id}", "--json", cwd=tmp_path))
    assert (told["status"], told["failure"]) == ("diverged", "the loss is inf")
    fine = next(member for member in others if member.ok)
    assert f"{fine.id}:" not in star("inspect", f"test:{fine.id}", cwd=tmp_path)


def test_inspect_explains_layers_links_and_sizes(star, tmp_path):
    output = star("inspect", "21211-31112-21221-32112", cwd=tmp_path)
    for text in (
        "SA-2",
        "SA-3",
        "weights C B V of LIV 1",
        "features B V of LIV 2",
        "56,384",
        "cache at 32k",
        "578.2 KiB",
    ):
        assert text in output
    assert "GMemless" in star("inspect", "transformer++", cwd=tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["inspect", "21211-3111"], "LIV 2"),
        (["inspect", "21211_1212"], "class 1 of its own"),
        (["inspect", "main:g000-00"], "no such individual"),
        (["inspect", "../x:g000-00"], "a run's name"),
        (["genes", "--level", "backbon"], "did you mean 'backbone'"),
        (["report", "nowhere"], "nowhere"),
        (["measure", "transformer++", "main:g000-00"], "no such individual"),
        (["evolve", "--params", "missing.yaml"], "missing.yaml"),
        (["evolve", "../up"], "a run's name"),
        (["evolve", "--set", "training.step=1"], "did you mean 'steps'"),
        (["plan", "--set", "training"], "a change reads section.key=value"),
        (["export", "g000-00", "--to", "x"], "use main:g000-00"),
        (["generate", "g000-00"], "use main:g000-00"),
        (["generate", "main:g000-00", "--prompts", "nowhere"], "No such file"),
        (["runs", "remove", "nowhere"], "there is no such run"),
        (["runs", "compare", "main", "nowhere"], "star evolve main"),
        (["retrain", "nowhere"], "star evolve nowhere"),
        (["generation", "--index", "3"], "gen_002.json"),
    ],
)
def test_a_users_error_is_one_message_and_exit_code_2(star, tmp_path, arguments, message):
    (tmp_path / "params.yaml").write_text("{}")
    output = star(*arguments, code=2, cwd=tmp_path)
    assert message in output
    assert "Traceback" not in output


def test_the_readme_names_commands_that_exist():
    commands = set(APPLICATION.commands)
    used = set(re.findall(r"`star ([a-z][a-z-]*)", README))
    assert used
    assert used <= commands
    targets = set(re.findall(r"^make ([a-z]+)$", README, re.M))
    assert targets == {"run", "test"}
    makefile = (ROOT / "Makefile").read_text()
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.M)


def test_the_python_in_the_readme_runs():
    block = re.search(r"```python\n(.*?)```", README, re.S)
    assert block
    subprocess.run([sys.executable, "-c", block[1]], check=True, cwd=ROOT)


def test_the_documents_link_to_files_that_exist():
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if "://" not in link:
                assert (page.parent / link).exists(), (page, link)
