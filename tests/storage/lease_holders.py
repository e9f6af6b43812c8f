"""Holders of leases in other processes, and what tests of leases share."""

import subprocess
import sys
import time
from pathlib import Path

KEY = "a" * 64
NAME = f"leases/{KEY}.json"
ROOT = Path(__file__).parents[2]


class Holding:
    """A process of ``lease_holder``."""

    def __init__(self, location, seconds, *options):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.storage.lease_holder", location, str(seconds), *options],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
        self.process.stdin.close()
        self.process.stdout.close()

    def ask(self, *keys):
        self.process.stdin.write(" ".join(keys) + "\n")
        self.process.stdin.flush()

    def taken(self):
        return self.process.stdout.readline().split()

    def take(self, *keys):
        self.ask(*keys)
        assert self.taken() == list(keys)

    def kill(self):
        self.process.kill()
        self.process.wait()


def wait_until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def start_of(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().split()[21])
