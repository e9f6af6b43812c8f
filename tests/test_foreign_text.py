"""Text that others wrote (errors, file names, genomes, titles) is shown and never read as markup."""

import io
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer
from rich.console import Console
from star_flows.doctor.command import table as findings_table
from star_flows.doctor.finding import Finding, Level
from star_flows.run.artifacts import markdown, page, rows
from star_flows.run.display import Display
from star_flows.run.paths import RunPaths
from star_flows.schedule.deployment import describe
from typer.testing import CliRunner

from star_core.analysis.report.report import write_report
from star_core.analysis.terminal import output
from star_core.analysis.terminal.front_table import front_table
from star_core.analysis.terminal.table import Column, TerminalTable, whole
from star_core.cli import app
from star_core.errors import StarError
from star_core.evaluation import Evaluation
from star_core.objectives.base import OBJECTIVES, Objective
from tests.analysis.runs import evolve, experiment, fill_store, store_run

ROOT = Path(__file__).parent.parent
HOSTILE = "[/red] [bold]x[/bold] [link=http://a]y[/link] :warning: <b>&amp;</b> `a` | *b* \x1b[2J\x07 \udcff"
SHOWN = HOSTILE.replace("\x1b", "\ufffd").replace("\x07", "\ufffd").replace("\udcff", "\ufffd")


def printed(part, console):
    console.print(part, crop=False, soft_wrap=True)
    return console.file.getvalue()


def consoles():
    """A file and a terminal, neither of which reads markup."""
    return [output.plain_console(file=io.StringIO(), width=400, force_terminal=on) for on in (False, True)]


def failed(detail):
    return Evaluation("0" * 64, "0" * 64, "11111", "out_of_memory", {}, detail, 1, 1, {}, {}, {}, "")


def test_the_live_display_shows_it_and_goes_on():
    for console in (*consoles(), Console(file=io.StringIO(), width=400)):
        display = Display(console)
        display.begin(HOSTILE, 3)
        display.ended("g000-00", failed(HOSTILE), cached=False)
        display.probed("g000-01", failed(HOSTILE))
        display.note(HOSTILE)
        said = printed(display, console)
        assert said.count(SHOWN) == (2 if console.is_terminal else 6)


def test_lines_and_tables_for_people(capsys):
    output.say(HOSTILE)
    output.print_parts(
        [HOSTILE.replace("\x1b", "").replace("\x07", "").replace("\udcff", ""), whole(HOSTILE)]
    )
    assert capsys.readouterr().out.count("[/red] [bold]x[/bold] [link=http://a]y[/link] :warning: <b>") == 3
    rows = [[HOSTILE, 1]]
    shown = TerminalTable(HOSTILE, (Column("a"), Column("b")), rows, note="n")
    assert printed(shown, consoles()[0]).count(SHOWN) == 2
    found = [Finding(Level.PROBLEM, HOSTILE, HOSTILE, HOSTILE)]
    assert "[/red] [bold]x[/bold]" in printed(findings_table("t", found), consoles()[0])


def test_what_star_deploy_prints():
    paths = SimpleNamespace(run=HOSTILE, root=HOSTILE)
    wanted = SimpleNamespace(paths=paths, schedule=None, step=1, full_name=HOSTILE, pool=HOSTILE)
    for console in consoles():
        describe(wanted, "http://localhost/api", "key", console)
        assert console.file.getvalue().count(SHOWN) == 5


def test_errors_of_the_command_line(monkeypatch, capsys):
    from star_core import cli

    def fail():
        raise StarError(HOSTILE, place=HOSTILE)

    monkeypatch.setattr(cli, "app", fail)
    monkeypatch.setattr(cli, "load_entry_points", lambda group, use: [])
    with pytest.raises(SystemExit):
        cli.main()
    assert capsys.readouterr().err.count(SHOWN) == 2
    for arguments in (
        ["[/red]"],
        ["plan", "--[/red]"],
        ["plan", "--generations", "[/red]"],
        ["fork", "--index"],
    ):
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 2, result.output
        assert isinstance(result.exception, SystemExit)


def test_every_command_has_a_help():
    groups = [(["star"], typer.main.get_command(app))]
    while groups:
        path, command = groups.pop()
        result = CliRunner().invoke(app, [*path[1:], "--help"])
        assert result.exit_code == 0, (path, result.output)
        groups += [([*path, name], inner) for name, inner in getattr(command, "commands", {}).items()]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run whose objective has a hostile title, and whose failures have hostile reasons."""
    own = Objective(
        "own", HOSTILE[:-10], "", False, lambda spec, metrics, section: float(spec.num_parameters)
    )
    monkeypatch.setitem(OBJECTIVES._entries, "own", own)
    problem = experiment(objectives={"names": ["perplexity", "own"]}, evolution={"population": 6})
    generations = evolve(problem, 1, "hostile", failing=100)
    store_run(tmp_path / "data", generations)
    fill_store(tmp_path / "store", problem, generations, detail=HOSTILE[:-1])
    return generations


def test_the_report_holds_it_as_text(run, tmp_path):
    from star_core.storage.evaluations import EvaluationStore

    store = EvaluationStore(str(tmp_path / "store"))
    text = write_report("hostile", tmp_path / "data", tmp_path / "reports", store).read_text()
    assert "&lt;b&gt;&amp;amp;&lt;/b&gt;" in text
    assert "<b>&amp;</b>" not in text


def test_prefects_pages_hold_it_as_text(run, tmp_path):
    made = page(RunPaths(str(tmp_path), "hostile"), run[-1])
    for line in made.split("\n"):
        if line.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", line)) == 5, line
    assert r"\[/red\]" in made
    assert "<b>" not in re.sub(r"\\<", "", made)
    assert rows(run[-1])
    assert markdown("a\n|`*_[<&\\") == r"a \|\`\*\_\[\<\&" + "\\\\"
    assert printed(front_table(run[-1]), consoles()[0])


def test_nothing_prints_by_a_console_that_reads_markup():
    for path in [*(ROOT / "star_core").rglob("*.py"), *(ROOT / "flows").rglob("*.py")]:
        source = path.read_text()
        if path != ROOT / "star_core/analysis/terminal/output.py":
            assert not re.search(r"\bConsole\(", source), f"{path}: plain_console"
        assert "from_markup" not in source
        assert not re.search(r"TextColumn\(.*description(?!.*markup=False)", source), path
