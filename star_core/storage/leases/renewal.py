"""What must be done again and again while candidates train: one thread of the process does it."""

from __future__ import annotations

import os
import threading
import time
from typing import Protocol


class Tended(Protocol):
    """Something that needs to be looked after."""

    def tend(self) -> float | None:
        """Does what is due and never raises; seconds until it is due again, ``None``: never."""


class Renewal:
    """Tends things when they are due, in a thread that lives as long as there are any."""

    def __init__(self) -> None:
        self._due: dict[Tended, float] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def schedule(self, thing: Tended, seconds: float | None) -> None:
        """Has ``thing`` tended in so many seconds by this process's own clock; ``None``: no more."""
        with self._changed:
            if seconds is None:
                self._due.pop(thing, None)
            else:
                self._due[thing] = time.monotonic() + seconds
            if self._due and self._thread is None:
                self._thread = threading.Thread(target=self._run, name="lease renewal", daemon=True)
                self._thread.start()
            self._changed.notify()

    def _run(self) -> None:
        while (thing := self._next()) is not None:
            seconds = thing.tend()
            with self._changed:
                if seconds is None:
                    self._due.pop(thing, None)
                elif thing in self._due:
                    self._due[thing] = time.monotonic() + seconds

    def _next(self) -> Tended | None:
        """What is due, as soon as something is; ``None`` if there is nothing any more."""
        with self._changed:
            while self._due:
                thing = min(self._due, key=self._due.__getitem__)
                seconds = self._due[thing] - time.monotonic()
                if seconds <= 0:
                    return thing
                self._changed.wait(seconds)
            self._thread = None
            return None


_renewal = Renewal()


def schedule(thing: Tended, seconds: float | None) -> None:
    """As ``Renewal.schedule``, by this process's one thread."""
    _renewal.schedule(thing, seconds)


def _begin_anew() -> None:
    """A forked child has neither its parent's thread nor its parent's duties."""
    global _renewal
    _renewal = Renewal()


os.register_at_fork(after_in_child=_begin_anew)
