"""Plug-ins are found by looking, and found whole by every thread."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from star_core.errors import ConfigError
from star_core.registry import Registry

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
