"""The commands that need no flow, and the README's."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from star_core.structures import class_table, structures
from star_core.structures.registered import operator_genes
from star_core.vocabulary.tables import BACKBONE_GENES, FEATURIZER_GENES

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def star(*arguments, code=0, cwd=ROOT):
    command = [str(Path(sys.executable).parent / "star"), *arguments]
    result = subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=cwd,
        env={"COLUMNS": "300", "PATH": "/usr/bin:/bin"},
        check=False,
    )
    assert result.returncode == code, result.stdout + result.stderr
    return result.stdout + result.stderr


def test_genes_prints_every_gene_class_and_featurizer():
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


def test_genes_explains_classes_that_a_genome_brings():
    output = star("genes", "--level", "own")
    for text in ("_02123-114211-", "differential variant", "semi-separable", "1,399,680", "factors 1 2 4"):
        assert text in output
    assert "_02123-114211-" in star("genes")


def test_inspect_shows_own_classes_by_digits_name_and_words(tmp_path):
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


def test_inspect_explains_layers_links_and_sizes(tmp_path):
    output = star("inspect", "21211-31112-21221-32112", cwd=tmp_path)
    for text in (
        "SA-2",
        "SA-3",
        "weights C B V of LIV 1",
        "features B V of LIV 2",
        "56,384",
        "cache at 32k",
        "1.13 MiB",
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
        (["evolve", "--run", "../up"], "a run's name"),
        (["retrain", "nowhere"], "star evolve --run nowhere"),
        (["generation", "--index", "3"], "gen_002.json"),
    ],
)
def test_a_users_error_is_one_message_and_exit_code_2(tmp_path, arguments, message):
    (tmp_path / "params.yaml").write_text("{}")
    output = star(*arguments, code=2, cwd=tmp_path)
    assert message in output
    assert "Traceback" not in output


def test_the_readme_names_commands_that_exist():
    commands = set(
        re.findall(r"^\s*([a-z-]+)\b", star("--help").split("Commands")[1].replace("│", " "), re.M)
    )
    used = set(re.findall(r"`star ([a-z-]+)", README))
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
