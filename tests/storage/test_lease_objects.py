"""Leases that are objects: when they expire, how they are renewed, what failing servers do to them."""

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from star_core.errors import StorageAway
from star_core.storage.leases import object_lease as lease_object
from star_core.storage.leases.holder import Holder
from star_core.storage.leases.leases import Leases
from star_core.storage.open import open_storage
from tests.storage.lease_holders import KEY, NAME, wait_until


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
            assert not any(taker.is_free(KEY) for taker in takers) or clock.now >= 60
            clock.now += 20
        with ThreadPoolExecutor(8) as threads:
            won = [lease for lease in threads.map(lambda taker: taker.take(KEY), takers) if lease is not None]
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
    wait_until(lambda: not any(thread.name == "lease renewal" for thread in threading.enumerate()))


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


def test_a_lease_left_in_an_outage_longer_than_it_lives_is_removed_after_it(clock, monkeypatch):
    location = "memory://outage-" + os.urandom(8).hex()
    lease, storage = Leases(location, None, 3).take(KEY), open_storage(location)
    with monkeypatch.context() as outage:
        outage.setattr(lease, "_remove", lambda: 1 / 0)
        with lease:
            pass
        clock.now = 30.0
        assert lease.tend() == lease_object.RETRY_SECONDS
    assert lease.tend() is None
    assert storage.read(NAME, 1 << 16) is None
    with monkeypatch.context() as outage:
        outage.setattr(lease, "_remove", lambda: 1 / 0)
        clock.now = 31.0 + lease_object.REMOVAL_SECONDS
        assert lease.tend() is None  # given up
