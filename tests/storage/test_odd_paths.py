"""Storage in places whose names mean something to a shell, a URL or a pattern."""

import re
from pathlib import Path

import pytest
from hypothesis import given

from star_core.storage.open import open_storage
from tests.strategies import ODD_FOLDERS, folder_names


@given(folder_names)
def test_a_folder_of_any_name_holds_what_is_stored_in_it(tmp_path_factory, name):
    root = tmp_path_factory.mktemp("root")
    storage = open_storage(f"{root}/{name}")
    storage.write("a/b", b"mine")
    assert (root / name / "a" / "b").read_bytes() == b"mine"
    assert storage.read("a/b", 10).content == b"mine"


def test_the_home_folder_holds_storage_unless_a_folder_here_has_its_sign_for_a_name(tmp_path, monkeypatch):
    home, here = tmp_path / "home", tmp_path / "here"
    here.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(here)
    open_storage("~/store").write("a", b"")
    assert (home / "store/a").exists()
    Path("~").mkdir()
    open_storage("~/store").write("a", b"")
    assert Path("~/store/a").exists()


@pytest.mark.parametrize("name", [name for name in ODD_FOLDERS if not re.search("::|[?#]", name)])
def test_what_is_moved_is_no_pattern(name, tmp_path):
    for folder in ("run 1", "x", name):
        storage = open_storage(f"memory://{tmp_path.name}/{folder}")
        storage.write("a", folder.encode())
    found = storage.read("a", 100)
    assert storage.move("a", "b", found.tag)
    assert storage.read("b", 100).content == name.encode()
    assert storage.read("a", 100) is None
    assert open_storage(f"memory://{tmp_path.name}/run 1").read("a", 100).content == b"run 1"
