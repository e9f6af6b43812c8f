"""Waiting for storage that is away: a server that is restarted, a full disk, a network that is down."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import TypeVar

from star_core.errors import StorageAway

T = TypeVar("T")
_FIRST, _LONGEST = 0.05, 1.0
"""Seconds between two attempts."""


class Patience:
    """Tries again as long as storage is away. Any thread may call it.

    Args:
        seconds: How long, from the first failure on, by a clock that nobody sets.
        note: Told once what is waited for and once that it is back, however many threads wait.
    """

    def __init__(self, seconds: float, note: Callable[[str], None] = lambda _: None) -> None:
        self._seconds, self._note = seconds, note
        # Whoever has taken this speaks for all; no lock, which a forked child could inherit closed.
        self._word = deque([True])

    def __call__(self, attempt: Callable[[], T]) -> T:
        """What ``attempt`` returns, which must be harmless to repeat.

        Even without patience it is tried twice: a connection kept open is closed by its server at times.

        Raises:
            StorageAway: The storage did not answer as long as it was waited for.
            StoreError: Something is wrong that waiting cannot mend.
        """
        until, pause, has_word, failures = 0.0, _FIRST, False, 0
        try:
            while True:
                try:
                    result = attempt()
                except StorageAway as error:
                    failures += 1
                    now = time.monotonic()
                    until = now + self._seconds if failures == 1 else until
                    if failures > 1 and now >= until:
                        raise self._given_up(error) from error.__cause__
                    if failures == 2 and not has_word:
                        has_word = self._take_word()
                        if has_word:
                            what = f"{error.place}: {error.rule}"
                            self._note(f"waiting up to {self._seconds:g} s for the storage: {what}")
                    time.sleep(max(0.0, min(pause, until - now)))
                    pause = min(2 * pause, _LONGEST)
                else:
                    if has_word:
                        self._note("the storage is back")
                    return result
        finally:
            if has_word:
                self._word.append(True)

    def _take_word(self) -> bool:
        try:
            return self._word.pop()
        except IndexError:
            return False

    def _given_up(self, error: StorageAway) -> StorageAway:
        if not self._seconds:
            return error
        return StorageAway(
            f"{error.rule}; it was waited for {self._seconds:g} s (runtime.patience_seconds)",
            value=error.value,
            place=error.place,
            fix=error.fix,
        )
