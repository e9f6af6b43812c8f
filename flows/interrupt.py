"""Ctrl-C: what is in training ends at once, and the command soon after, whatever it waits for."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

STOP_SECONDS = 15.0
"""What the block gets to end by itself after Ctrl-C."""
_RELEASE_SECONDS = 1.0
"""For threads whose candidates were ended, to say so to the store."""
INTERRUPTED = "star: interrupted; the same command goes on from here\n"


@contextmanager
def interruptible(release: Callable[[], None], seconds: float = STOP_SECONDS) -> Iterator[None]:
    """While the block lasts, Ctrl-C interrupts it, and ends the process if it then goes on for too long.

    An interrupt strikes anywhere, in the middle of an orchestrator's bookkeeping too, which has been seen to
    wait for ever then. Nothing is lost by an end at any instant.

    Args:
        release: Ends what the block has in training; called before a hard end.
        seconds: Until then.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)
    over = threading.Event()

    def watch() -> None:
        if not over.wait(seconds):
            stop_hard(release)

    def interrupt(number: int, frame: FrameType | None) -> None:
        threading.Thread(target=watch, daemon=True).start()
        if callable(before):
            before(number, frame)

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        over.set()
        signal.signal(signal.SIGINT, before)


def stop_hard(release: Callable[[], None]) -> None:
    """Ends this process with the exit code of an interrupt, whatever its threads wait for."""
    closing = threading.Thread(target=_quietly, args=(release,), daemon=True)
    closing.start()
    closing.join(_RELEASE_SECONDS)
    time.sleep(_RELEASE_SECONDS)
    if sys.stdout.isatty():
        sys.stdout.write("\x1b[?25h")  # the live display hides the cursor
        sys.stdout.flush()
    sys.stderr.write(INTERRUPTED)
    sys.stderr.flush()
    os._exit(128 + signal.SIGINT)


def _quietly(release: Callable[[], None]) -> None:
    with suppress(Exception):
        release()
