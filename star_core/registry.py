"""Registries of plug-ins: one line in the plug-in's own file, found by looking through its folder."""

from __future__ import annotations

import importlib
import pkgutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from star_core.errors import StarError, nearest

if TYPE_CHECKING:
    from pydantic import BaseModel  # slow to import, and the command line imports this file

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Broken:
    """An entry point of another package that cannot be loaded.

    Attributes:
        entry: What the package names.
        error: Raised by loading it.
    """

    entry: EntryPoint
    error: Exception

    @property
    def package(self) -> str:
        """The package whose entry point it is."""
        return self.entry.dist.name if self.entry.dist else self.entry.value.partition(".")[0]

    def __str__(self) -> str:
        reason = str(self.error) if isinstance(self.error, StarError) else repr(self.error)
        named = f"{self.entry.name} = {self.entry.value}"
        return f"package {self.package}, entry point {named!r} in {self.entry.group}: {reason}"


def load_entry_points(group: str, use: Callable[[Any], object] = lambda loaded: None) -> list[Broken]:
    """Loads what installed packages name in a group; returns those that fail, which stop no other.

    Args:
        group: Of entry points.
        use: Called with each object that an entry point names.
    """
    broken = []
    for entry in entry_points(group=group):
        try:
            use(entry.load())
        except Exception as error:  # whatever another's code does wrong
            broken.append(Broken(entry, error))
    return broken


class Registry(Generic[T]):
    """Plug-ins of one kind by name: files of a package, and other packages' entry points.

    A package that cannot be loaded is kept in ``broken`` and matters only to who asks for what is not there.

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
        self._kind, self._package, self._group, self._error = kind, package, group, error
        self.place = place
        self._entries: dict[str, T] = {}
        self._settings: dict[str, type[BaseModel]] = {}
        self._claimed: set[str] = set()
        self._broken: list[Broken] = []
        self._discovered = False
        self._discovering = threading.RLock()

    def add(self, name: str, entry: T, settings: type[BaseModel] | None = None) -> T:
        """Makes a plug-in known; called once, in the file that defines it.

        Args:
            name: By which a user names it.
            entry: The plug-in.
            settings: The section of parameters it has under its name; ``None``: none.

        Raises:
            StarError: The name is taken.
        """
        if name in self._entries:
            self._claimed.add(name)
            raise self._error(
                f"there is another {self._kind} of this name", value=name, fix="choose another name"
            )
        self._entries[name] = entry
        if settings is not None:
            self._settings[name] = settings
        return entry

    def names(self) -> tuple[str, ...]:
        """Names of all plug-ins, sorted."""
        # Tasks run in threads: whoever comes second waits until all plug-ins are there.
        with self._discovering:
            if not self._discovered:
                package = importlib.import_module(self._package)
                for module in pkgutil.iter_modules(package.__path__):
                    importlib.import_module(f"{self._package}.{module.name}")
                self._broken = load_entry_points(self._group)
                self._discovered = True
        return tuple(sorted(self._entries))

    @property
    def settings(self) -> dict[str, type[BaseModel]]:
        """Name → section of parameters, of the plug-ins that have one."""
        self.names()
        return self._settings

    @property
    def broken(self) -> tuple[Broken, ...]:
        """Other packages' plug-ins that cannot be loaded."""
        self.names()
        return tuple(self._broken)

    def where_to_find(self) -> str:
        """What to do about a plug-in that is not there."""
        found = f"; or pip install the package that brings it by an entry point in {self._group}"
        return found + "".join(f"; or mend what cannot be loaded: {broken}" for broken in self.broken)

    def __getitem__(self, name: str) -> T:
        """The plug-in of this name; an unknown one is an error with the nearest known name."""
        names = self.names()
        if name in self._claimed:
            raise self._error(
                f"two packages have a {self._kind} of this name",
                value=name,
                place=self.place,
                fix="uninstall one: " + "; ".join(map(str, self._broken)),
            )
        if name not in names:
            raise self._error(
                f"no such {self._kind}",
                value=name,
                place=self.place,
                fix=nearest(name, names) + self.where_to_find(),
            )
        return self._entries[name]
