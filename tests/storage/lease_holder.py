"""A process that takes leases and obeys: python -m tests.storage.lease_holder LOCATION SECONDS [OPTION…].

It reads a line of keys, tries to take each, and prints those it got, until its input ends. Options:
``elsewhere``: as if on another machine; ``clock``: its wall clock jumps; ``forks``: it leaves children that
live on.
"""

import os
import subprocess
import sys
import time
from dataclasses import replace
from itertools import count

from star_core.storage.leases.holder import Holder
from star_core.storage.leases.leases import Leases


def main(location: str, seconds: str, *options: str) -> None:
    if "elsewhere" in options:
        here = Holder.here()
        Holder.here = classmethod(lambda _: replace(here, boot="another machine's"))
    if "clock" in options:
        jumps = count(0, 10**5)
        time.time = lambda: float(next(jumps))
    leases, held = Leases(location, None, float(seconds), patience=60), []
    for line in sys.stdin:
        keys = line.split()
        found = {key: leases.take(key) for key in keys}
        held += [lease for lease in found.values() if lease is not None]
        if "forks" in options:
            print(_forked(), subprocess.Popen(["sleep", "600"]).pid, flush=True)
        print(*[key for key in keys if found[key] is not None], flush=True)
    for lease in held:
        lease.__exit__(None, None, None)


def _forked() -> int:
    """A child that has let go of what is its parent's: right after the fork it still has it."""
    ready, told = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(told, b"!")
        time.sleep(600)
    os.read(ready, 1)
    return child


if __name__ == "__main__":
    main(*sys.argv[1:])
