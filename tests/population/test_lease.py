"""Leases on every kind of storage: one wins, whoever is gone lets go, and no wall clock matters."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from star_core.errors import StorageAway, StoreError
from star_core.population import lease_object
from star_core.population.holder import Holder
from star_core.population.lease import Leases
from star_core.population.storage import open_storage

KEY = "a" * 64
NAME = f"leases/{KEY}.json"
KEYS = [f"{number:064x}" for number in range(30)]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def bucket(prefix):
    """A location of leases that are objects."""
    return prefix


class Holding:
    """A process of ``lease_holder``."""

    def __init__(self, location, seconds, *options):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.population.lease_holder", location, str(seconds), *options],
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
        for one in (first, second):
            one.take(f"{one.process.pid:064x}")  # both are up
        first.ask(*KEYS)
        second.ask(*reversed(KEYS))
        won = [set(one.taken()) for one in (first, second)]
        assert won[0] | won[1] == set(KEYS)
        assert not won[0] & won[1]
        mine = Leases(location, None, 60)
        assert not any(map(mine.is_free, KEYS))
        for one in (first, second):
            one.process.stdin.close()
            one.process.wait()
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


@pytest.mark.parametrize("kind", ["tmp_path", "bucket"])
def test_a_killed_holders_children_do_not_hold_for_it(request, kind):
    location = str(request.getfixturevalue(kind))
    with Holding(location, 100_000, "forks") as holder:
        holder.ask(KEY)
        children = list(map(int, holder.taken()))
        assert holder.taken() == [KEY]
        try:
            holder.kill()
            assert Leases(location, None, 100_000).is_free(KEY)
            with Leases(location, None, 100_000).take(KEY):
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


class Clock:
    """An observer's clock that only tests move."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    found = Clock()
    monkeypatch.setattr(lease_object, "time", found)
    return found


@pytest.fixture(params=["memory", "s3"])
def objects_location(request):
    return (
        "memory://clock-" + os.urandom(8).hex()
        if request.param == "memory"
        else request.getfixturevalue("prefix")
    )


def held_elsewhere(location, count=1):
    """A lease as a holder on another machine writes it."""
    here = replace(Holder.here(), boot="another machine's")
    record = {
        "format": "star-lease",
        "version": 1,
        "token": "theirs",
        "count": count,
        "holder": here.to_json(),
    }
    open_storage(location).write(NAME, json.dumps(record).encode())


def test_a_lease_expires_when_it_was_seen_unchanged_for_so_long(objects_location, clock):
    leases = Leases(objects_location, None, 60)
    held_elsewhere(objects_location)
    for clock.now in (0, 15, 30, 45, 59.9):
        assert leases.take(KEY) is None
        assert not leases.is_free(KEY)
    clock.now = 60
    with leases.take(KEY):
        assert not Leases(objects_location, None, 60).is_free(KEY)


def test_a_renewed_lease_starts_anew(objects_location, clock):
    leases = Leases(objects_location, None, 60)
    for renewals in range(20):
        held_elsewhere(objects_location, renewals)
        for _ in range(3):
            assert not leases.is_free(KEY)
            clock.now += 19
    assert not leases.is_free(KEY)
    clock.now += 3
    assert leases.is_free(KEY)


def test_time_in_which_nobody_could_renew_is_not_held_against_the_holder(objects_location, clock):
    leases = Leases(objects_location, None, 60)
    held_elsewhere(objects_location)
    for clock.now in (0, 10_000, 20_000):
        assert not leases.is_free(KEY)
    clock.now = 30_000
    assert leases.is_free(KEY)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"\xff",
        b"[" * 10_000,
        b'{"format": "star-lease", "holder": {"pid": -1}}',
        b'{"holder": 3}',
    ],
)
def test_a_malformed_lease_expires_like_another(objects_location, clock, content):
    open_storage(objects_location).write(NAME, content)
    leases = Leases(objects_location, None, 60)
    for clock.now in (0, 20, 40):
        assert leases.take(KEY) is None
    clock.now = 60
    with leases.take(KEY):
        pass


def test_of_many_who_take_over_one_wins(objects_location, clock):
    for _ in range(5):
        held_elsewhere(objects_location)
        takers = [Leases(objects_location, None, 60) for _ in range(8)]
        for _ in range(4):
            assert not any(one.is_free(KEY) for one in takers) or clock.now >= 60
            clock.now += 20
        with ThreadPoolExecutor(8) as threads:
            won = [lease for lease in threads.map(lambda one: one.take(KEY), takers) if lease is not None]
        assert len(won) == 1
        won[0].__exit__(None, None, None)
        clock.now = 0


def test_a_lease_is_renewed_in_the_background(objects_location):
    storage, leases = open_storage(objects_location), Leases(objects_location, None, 0.3)
    with leases.take(KEY) as lease:
        first = json.loads(storage.read(NAME, 1 << 16).content)
        wait_until(lambda: json.loads(storage.read(NAME, 1 << 16).content)["count"] > first["count"] + 2)
        assert json.loads(storage.read(NAME, 1 << 16).content)["token"] == first["token"]
        assert not lease.lost
    assert storage.read(NAME, 1 << 16) is None
    wait_until(lambda: not any(one.name == "lease renewal" for one in threading.enumerate()))


def test_a_forked_child_renews_its_own_leases(objects_location):
    storage, other = open_storage(objects_location), "b" * 64
    with Leases(objects_location, None, 0.3).take(KEY):
        pid = os.fork()
        if pid == 0:
            try:
                with Leases(objects_location, None, 0.3).take(other):
                    name = NAME.replace(KEY, other)
                    wait_until(lambda: json.loads(storage.read(name, 1 << 16).content)["count"] > 2)
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitpid(pid, 0)[1] == 0


def test_a_lease_that_was_taken_over_is_lost_and_left_alone(objects_location):
    storage, leases = open_storage(objects_location), Leases(objects_location, None, 600)
    with leases.take(KEY) as lease:
        held_elsewhere(objects_location)
        theirs = storage.read(NAME, 1 << 16)
        assert lease.tend() is None
        assert lease.lost
        assert lease.tend() is None
    assert storage.read(NAME, 1 << 16) == theirs


def test_a_lease_taken_over_is_not_removed_even_if_nobody_noticed(objects_location):
    storage, leases = open_storage(objects_location), Leases(objects_location, None, 600)
    with leases.take(KEY):
        held_elsewhere(objects_location)
        theirs = storage.read(NAME, 1 << 16)
    assert storage.read(NAME, 1 << 16) == theirs


def test_a_lease_that_somebody_removed_is_made_again(objects_location):
    storage, leases = open_storage(objects_location), Leases(objects_location, None, 600)
    with leases.take(KEY) as lease:
        storage.delete(NAME, storage.read(NAME, 1 << 16).tag)
        assert lease.tend() == 200
        assert not lease.lost
        assert not Leases(objects_location, None, 600).is_free(KEY)
    assert storage.read(NAME, 1 << 16) is None


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


def test_a_lost_answer_loses_no_lease(proxy, prefix):
    leases = Leases(prefix, proxy.endpoint, 600)
    proxy.order("lose", method="PUT")
    with leases.take(KEY) as lease:
        proxy.order("lose", method="PUT")
        wait_until(lambda: lease.tend() == 200)
        assert not lease.lost
        assert not Leases(prefix, None, 600).is_free(KEY)
    assert Leases(prefix, None, 600).is_free(KEY)


def test_a_lease_that_cannot_be_removed_is_removed_later(proxy, prefix):
    with Leases(prefix, proxy.endpoint, 3).take(KEY):
        proxy.order("slow down", times=2, method="DELETE")
    storage = open_storage(prefix)
    assert storage.read(NAME, 1 << 16) is not None
    assert Leases(prefix, None, 600).is_free(KEY)  # for this process it is over
    wait_until(lambda: storage.read(NAME, 1 << 16) is None)


def test_a_holder_outlasts_a_server_that_is_away(mortal):
    location = f"{mortal.url}/outlast"
    with Leases(location, None, 600).take(KEY) as lease:
        mortal.kill()
        assert lease.tend() == lease_object.RETRY_SECONDS
        with pytest.raises(StorageAway):
            Leases(location, None, 600).take("b" * 64)
        notes = []
        waiting = Leases(location, None, 600, 60, lambda text: (notes.append(text), mortal.start()))
        assert not waiting.is_free(KEY)
        assert [note.split(" ")[0] for note in notes] == ["waiting", "the"]
        wait_until(lambda: lease.tend() == 200)
        assert not lease.lost
    assert waiting.is_free(KEY)
