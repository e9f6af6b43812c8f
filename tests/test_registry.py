"""Plug-ins are found by looking, and found whole by every thread."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from star_core.errors import ConfigError
from star_core.registry import Registry
from tests.packages import describe

PLUG_IN = """
import time
from {package} import registry
time.sleep(0.2)
registry.add({name!r}, {name!r})
"""


@pytest.fixture
def registry(tmp_path, monkeypatch):
    package = "plugins_of_a_test"
    folder = tmp_path / package
    folder.mkdir()
    (folder / "__init__.py").write_text("registry = None")
    for name in ("one", "two", "three"):
        (folder / f"{name}.py").write_text(PLUG_IN.format(package=package, name=name))
    monkeypatch.syspath_prepend(tmp_path)
    made: Registry[str] = Registry("plug-in", package, "star.no-such-group", "here", ConfigError)
    __import__(package).registry = made
    yield made
    for name in [name for name in sys.modules if name.startswith(package)]:
        del sys.modules[name]


def test_a_file_in_the_folder_is_all_it_takes(registry):
    assert registry.names() == ("one", "three", "two")
    assert registry["two"] == "two"


def test_threads_that_ask_at_once_all_find_everything(registry):
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: registry.names(), range(4)))
    assert set(found) == {("one", "three", "two")}


def test_an_unknown_name_is_an_error_with_the_nearest(registry):
    with pytest.raises(ConfigError, match=r"here: 'tow': no such plug-in. Fix: did you mean 'two'"):
        _ = registry["tow"]


BROKEN = {
    "fine": "registry.add('four', 'four')",
    "missing": "import a_module_that_is_nowhere",
    "twice": "registry.add('two', 'another two')",
    "careless": "registry.add()",
}


@pytest.fixture
def broken(registry, tmp_path, monkeypatch):
    """The registry, beside a package of which three plug-ins cannot be loaded."""
    folder = describe(
        tmp_path / "site", "careless-plugins", {"star.of-a-test": {name: f"their_{name}" for name in BROKEN}}
    )
    for name, line in BROKEN.items():
        (folder / f"their_{name}.py").write_text(f"from plugins_of_a_test import registry\n{line}\n")
    monkeypatch.syspath_prepend(folder)
    made: Registry[str] = Registry("plug-in", "plugins_of_a_test", "star.of-a-test", "here", ConfigError)
    sys.modules["plugins_of_a_test"].registry = made
    yield made
    for name in BROKEN:
        sys.modules.pop(f"their_{name}", None)


def test_a_plug_in_that_cannot_be_loaded_keeps_no_other_from_being_used(broken):
    assert broken.names() == ("four", "one", "three", "two")
    assert broken["four"] == "four"
    assert [found.entry.name for found in broken.broken] == ["missing", "twice", "careless"]


def test_who_asks_for_a_plug_in_that_is_not_there_is_told_what_could_not_be_loaded(broken):
    with pytest.raises(ConfigError) as caught:
        _ = broken["missing"]
    said = str(caught.value)
    assert "package careless-plugins, entry point 'missing = their_missing' in star.of-a-test" in said
    assert "No module named 'a_module_that_is_nowhere'" in said
    assert "entry point 'careless = their_careless'" in said


def test_a_name_that_two_packages_claim_is_an_error_for_who_uses_it(broken):
    with pytest.raises(ConfigError, match=r"here: 'two': two packages have a plug-in of this name") as caught:
        _ = broken["two"]
    assert "entry point 'twice = their_twice' in star.of-a-test" in str(caught.value)


def test_a_plug_in_that_is_not_installed_says_where_it_would_come_from(registry):
    with pytest.raises(ConfigError, match=r"pip install the package that brings it .* in star.no-such-group"):
        _ = registry["far"]
