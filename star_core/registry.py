"""Registries of plug-ins: one line in the plug-in's own file, found by looking through its folder."""

from __future__ import annotations

import importlib
import pkgutil
import threading
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from star_core.errors import StarError, nearest

T = TypeVar("T")


class Registry(Generic[T]):
    """Plug-ins of one kind by name: files of a package, and other packages' entry points.

    Args:
        kind: What one of them is called in messages.
        package: Package whose modules register plug-ins when they are imported.
        group: Entry-point group by which other packages name modules that do.
        place: Where a user writes the name.
        error: Raised for an unknown name.
    """

    def __init__(
        self, kind: str, package: str, group: str, place: str, error: Callable[..., StarError]
    ) -> None:
        self._kind, self._package, self._group, self._place, self._error = kind, package, group, place, error
        self._entries: dict[str, T] = {}
        self._discovered = False
        self._discovering = threading.RLock()

    def add(self, name: str, entry: T) -> T:
        """Makes a plug-in known; called once, in the file that defines it."""
        self._entries[name] = entry
        return entry

    def names(self) -> tuple[str, ...]:
        """Names of all plug-ins, sorted."""
        # Tasks run in threads: whoever comes second waits until all plug-ins are there.
        with self._discovering:
            if not self._discovered:
                package = importlib.import_module(self._package)
                for module in pkgutil.iter_modules(package.__path__):
                    importlib.import_module(f"{self._package}.{module.name}")
                for entry in entry_points(group=self._group):
                    entry.load()
                self._discovered = True
        return tuple(sorted(self._entries))

    def __getitem__(self, name: str) -> T:
        """The plug-in of this name; an unknown one is an error with the nearest known name."""
        names = self.names()
        if name not in names:
            raise self._error(
                f"no such {self._kind}", value=name, place=self._place, fix=nearest(name, names)
            )
        return self._entries[name]
