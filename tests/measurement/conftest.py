"""Commands, typed in this process."""

import pytest

from tests.commands import call


@pytest.fixture
def star(monkeypatch):
    """Types a command in a folder; what it printed, once it has ended as expected."""

    def typed(*arguments, cwd, code=0):
        monkeypatch.chdir(cwd)
        ended = call(*arguments)
        assert ended.code == code, ended.out + ended.err
        return ended.out if "--json" in arguments else ended.out + ended.err

    return typed
