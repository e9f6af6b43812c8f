"""Leases on every kind of storage: one wins, whoever is gone lets go, and no wall clock matters."""

import os
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count

import pytest

from star_core.errors import StoreError
from star_core.storage.leases.holder import Holder
from star_core.storage.leases.leases import Leases
from star_core.storage.open import open_storage
from tests.storage.lease_holders import KEY, NAME, Holding, start_of, wait_until

KEYS = [f"{number:064x}" for number in range(30)]


@pytest.fixture
def bucket(prefix):
    """A location of leases that are objects."""
    return prefix


def objects(location):
    """What is left of leases."""
    storage = open_storage(location)
    return [name for name in (NAME, NAME.replace(".json", ".lock")) if storage.size(name) is not None]


def test_a_lease_is_held_until_it_is_left(location):
    leases, others = Leases(location, None, 60), Leases(location, None, 60)
    assert leases.is_free(KEY)
    for _ in range(2):
        with leases.take(KEY) as lease:
            assert leases.take(KEY) is others.take(KEY) is None
            assert not others.is_free(KEY)
            assert others.is_free("b" * 64)
            assert not lease.lost
        assert others.is_free(KEY)
        assert objects(location) == []


def test_an_error_lets_the_lease_go(location):
    leases = Leases(location, None, 60)
    with pytest.raises(ZeroDivisionError), leases.take(KEY):
        _ = 1 / 0
    assert leases.is_free(KEY)


def test_of_eight_threads_one_wins(location):
    leases = Leases(location, None, 60)
    with ThreadPoolExecutor(8) as threads:
        # This server makes those who lose a race wait a second.
        for key in KEYS[: 3 if location.startswith("s3") else None]:
            barrier = threading.Barrier(8)

            def take(_, key=key, barrier=barrier):
                barrier.wait()
                return leases.take(key)

            won = [lease for lease in threads.map(take, range(8)) if lease is not None]
            assert len(won) == 1
            won[0].__exit__(None, None, None)


def test_no_two_are_ever_inside(location):
    """Takers and leavers at once: the file, or the object, is removed under the eyes of others."""
    leases, inside, most, turns = Leases(location, None, 60), [], [], [0]

    def work(_):
        while turns[0] < 60:
            leases.is_free(KEY)
            lease = leases.take(KEY)
            if lease is None:
                continue
            with lease:
                inside.append(1)
                most.append(len(inside))
                time.sleep(0)
                turns[0] += 1
                inside.pop()

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(8)))
    assert max(most) == 1
    assert turns[0] >= 60


@pytest.mark.parametrize("kind", ["tmp_path", "bucket"])
def test_of_two_processes_one_wins_each_key(request, kind):
    location = str(request.getfixturevalue(kind))
    with Holding(location, 60) as first, Holding(location, 60, "elsewhere") as second:
        for holder in (first, second):
            holder.take(f"{holder.process.pid:064x}")  # both are up
        first.ask(*KEYS)
        second.ask(*reversed(KEYS))
        won = [set(holder.taken()) for holder in (first, second)]
        assert won[0] | won[1] == set(KEYS)
        assert not won[0] & won[1]
        mine = Leases(location, None, 60)
        assert not any(map(mine.is_free, KEYS))
        for holder in (first, second):
            holder.process.stdin.close()
            holder.process.wait()
        assert all(map(mine.is_free, KEYS))


@pytest.mark.parametrize("kind", ["tmp_path", "bucket"])
def test_a_holder_killed_on_this_machine_is_gone_at_once(request, kind):
    location = str(request.getfixturevalue(kind))
    leases = Leases(location, None, 100_000)
    with Holding(location, 100_000) as holder:
        holder.take(KEY)
        assert leases.take(KEY) is None
        assert not leases.is_free(KEY)
        holder.kill()
        assert leases.is_free(KEY)
        with leases.take(KEY):
            assert Leases(location, None, 100_000).take(KEY) is None


def test_what_killed_holders_left_in_a_folder_is_removed_and_nothing_else(tmp_path):
    leases, files = Leases(str(tmp_path), None, 60), tmp_path / "leases"
    leases.discard_ended()
    with Holding(str(tmp_path), 60) as holder:
        for key in KEYS[:3]:
            holder.take(key)
        with leases.take(KEYS[3]), Holding(str(tmp_path), 60) as other:
            other.take(KEYS[4])
            leases.discard_ended()
            assert len(list(files.iterdir())) == 5
            holder.kill()
            leases.discard_ended()
            assert {path.stem for path in files.iterdir()} == set(KEYS[3:5])
            assert not leases.is_free(KEYS[4])


@pytest.mark.parametrize("kind", ["tmp_path", "bucket"])
def test_a_killed_holders_children_do_not_hold_for_it(request, kind):
    location = str(request.getfixturevalue(kind))
    with Holding(location, 100_000, "forks") as holder:
        holder.ask(KEY)
        children = list(map(int, holder.taken()))
        assert holder.taken() == [KEY]
        try:
            holder.kill()
            assert Leases(location, None, 100_000, patience=60).is_free(KEY)
            with Leases(location, None, 100_000, patience=60).take(KEY):
                assert all(start_of(pid) for pid in children)
        finally:
            for pid in children:
                os.kill(pid, signal.SIGKILL)


def test_a_forked_child_neither_holds_nor_ends_its_parents_lease(location):
    leases = Leases(location, None, 60)
    with leases.take(KEY) as lease:
        pid = os.fork()
        if pid == 0:
            try:
                lease.__exit__(None, None, None)
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        assert leases.take(KEY) is None


def test_a_holder_elsewhere_is_waited_for_while_it_lives_and_clocks_do_not_matter(bucket, monkeypatch):
    jumps = count(10**12, -(10**5))
    monkeypatch.setattr("time.time", lambda: float(next(jumps)))
    leases = Leases(bucket, None, 2)
    with Holding(bucket, 2, "elsewhere", "clock") as holder:
        holder.take(KEY)
        until = time.monotonic() + 3
        while time.monotonic() < until:
            assert not leases.is_free(KEY)
            time.sleep(0.05)
        holder.kill()
        wait_until(lambda: leases.is_free(KEY))
        with leases.take(KEY) as lease:
            assert not lease.lost


@pytest.mark.parametrize("key", ["../x", "A" * 64, ""])
def test_a_key_that_is_none_is_refused(location, key):
    leases = Leases(location, None, 60)
    for ask in (leases.take, leases.is_free):
        with pytest.raises(StoreError, match="64 hex digits"):
            ask(key)


def test_a_holder_with_another_start_or_another_number_space_is_another():
    here = Holder.here()
    assert not here.is_gone()
    assert replace(here, started=here.started + 1).is_gone()
    assert not replace(here, started=here.started + 1, namespace="pid:[1]").is_gone()
    assert not replace(here, started=here.started + 1, boot="x").is_gone()
    child = subprocess.Popen(["sleep", "60"])
    theirs = replace(here, pid=child.pid, started=start_of(child.pid))
    assert not theirs.is_gone()
    child.send_signal(signal.SIGKILL)
    wait_until(theirs.is_gone)  # also as long as its parent has not asked for it
    child.wait()
    assert theirs.is_gone()
