"""The evaluation store on a real S3 server: killed, restarted, answering 503, cutting answers short."""

import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from star_core.errors import StorageAway, StoreError
from star_core.storage import s3 as bucket
from star_core.storage.evaluations import EvaluationStore
from star_core.storage.open import open_storage
from tests.object_store import KEY, SECRET
from tests.storage.evaluations import EVALUATION, GOOD, MALFORMED

NAME = f"aa/{EVALUATION.key}.json"


def never(seconds):
    pytest.fail(f"waited {seconds} s for what waiting cannot mend")


@pytest.mark.parametrize("by", ["environment", "option"])
def test_the_endpoint_is_the_options_or_the_environments(s3, prefix, monkeypatch, by):
    if by == "option":
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    store = EvaluationStore(prefix, s3.endpoint if by == "option" else None)
    store.put(EVALUATION)
    assert store.get(EVALUATION.key) == EVALUATION
    assert store.path(EVALUATION.key) == f"{prefix}/{NAME}"
    key = prefix.removeprefix("s3://star/") + f"/{NAME}"
    assert s3.client().get_object(Bucket=s3.bucket, Key=key)["Body"].read() == GOOD


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("AWS_SECRET_ACCESS_KEY", "wrong-secret-never-to-be-shown", "SignatureDoesNotMatch"),
        ("AWS_ACCESS_KEY_ID", "nobody-knows-this-key", "InvalidAccessKeyId"),
    ],
)
def test_wrong_credentials_are_an_error_at_once_that_does_not_repeat_them(
    prefix, monkeypatch, name, value, code
):
    monkeypatch.setenv(name, value)
    monkeypatch.setattr("star_core.storage.patience.time.sleep", never)
    store = EvaluationStore(prefix, patience=600)
    for ask in (lambda: store.get(EVALUATION.key), lambda: store.put(EVALUATION)):
        with pytest.raises(StoreError, match=f"refuses these credentials: {code}.*Fix: set AWS_") as caught:
            ask()
        assert not isinstance(caught.value, StorageAway)
        error = caught.value
        while error is not None:
            assert not any(secret in str(error) for secret in (value, KEY, SECRET))
            error = error.__cause__


@pytest.mark.parametrize("fault", ["forbidden", "slow down"])
def test_a_server_that_repeats_credentials_is_not_quoted(proxy, prefix, fault):
    proxy.order(fault, times=1000)
    with pytest.raises(StoreError) as caught:
        EvaluationStore(prefix, proxy.endpoint).get(EVALUATION.key)
    assert KEY not in "".join(traceback.format_exception(caught.value))


def test_no_credentials_are_an_error_at_once(prefix, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setattr("star_core.storage.patience.time.sleep", never)
    with pytest.raises(StoreError, match=r"NoCredentialsError.*Fix: set AWS_ACCESS_KEY_ID"):
        EvaluationStore(prefix, patience=600).get(EVALUATION.key)


@pytest.mark.parametrize(("name", "rule"), [("absent", "no bucket 'absent'"), ("Not_A_Bucket!", "cannot be")])
def test_a_bucket_that_is_none_is_an_error_at_once(s3, monkeypatch, name, rule):
    monkeypatch.setattr("star_core.storage.patience.time.sleep", never)
    store = EvaluationStore(f"s3://{name}/prefix", patience=600)
    for ask in (lambda: store.get(EVALUATION.key), lambda: store.put(EVALUATION)):
        with pytest.raises(StoreError, match=rule) as caught:
            ask()
        assert not isinstance(caught.value, StorageAway)


def test_a_server_killed_and_started_again_costs_nothing_but_time(mortal):
    notes = []

    def start(text):
        notes.append(text)
        mortal.start()

    store = EvaluationStore(f"{mortal.url}/waits", patience=60, note=start)
    store.put(EVALUATION)
    for ask in (lambda: store.get(EVALUATION.key), lambda: store.put(EVALUATION)):
        mortal.kill()
        notes.clear()
        ask()
        assert len(notes) == 2
        assert "waiting up to 60 s for the storage" in notes[0]
        assert NAME in notes[0]
        assert notes[1] == "the storage is back"
    assert store.get(EVALUATION.key) == EVALUATION


def test_however_many_threads_wait_one_speaks(mortal):
    notes, keys = [], [f"{number:064x}" for number in range(16)]

    def start(text):
        notes.append(text)
        mortal.start()

    store = EvaluationStore(f"{mortal.url}/threads", patience=60, note=start)
    store.get(EVALUATION.key)
    mortal.kill()
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda key: store.put(replace(EVALUATION, key=key)), keys))
        assert [evaluation.key for evaluation in threads.map(store.get, keys)] == keys
    assert len(notes) == 2


@pytest.mark.parametrize("patience", [0, 0.3])
def test_patience_that_is_over_is_an_error_that_says_so(mortal, patience):
    notes = []
    store = EvaluationStore(mortal.url, patience=patience, note=notes.append)
    mortal.kill()
    waited = "it was waited for 0.3 s" if patience else r"EndpointConnectionError"
    for ask in (lambda: store.get(EVALUATION.key), lambda: store.put(EVALUATION)):
        with pytest.raises(StorageAway, match=waited):
            ask()
    assert not any("back" in note for note in notes)


def test_nothing_retries_behind_our_back(proxy, prefix):
    store = EvaluationStore(prefix, proxy.endpoint)
    proxy.order("slow down", times=1000)
    with pytest.raises(StorageAway, match="the server says SlowDown"):
        store.get(EVALUATION.key)
    with pytest.raises(StorageAway, match="the server says SlowDown"):
        store.put(EVALUATION)
    assert proxy.requests == ["GET", "GET", "PUT", "PUT"]


@pytest.mark.parametrize("fault", ["slow down", "cut", "lose"])
def test_a_server_that_is_busy_or_cut_off_is_asked_again(proxy, prefix, fault):
    store = EvaluationStore(prefix, proxy.endpoint, patience=60)
    proxy.order(fault, times=3, method="PUT")
    store.put(EVALUATION)
    proxy.order(fault, times=3, method="GET")
    assert store.get(EVALUATION.key) == EVALUATION
    # The answer to a PUT has no body that could be cut.
    assert (proxy.requests.count("PUT"), proxy.requests.count("GET")) == (1 if fault == "cut" else 4, 4)


@pytest.mark.parametrize("fault", ["shorten", "flip"])
@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_good_evaluation_that_arrives_damaged_is_read_again_and_stays(proxy, prefix, fault, times):
    """Also where the damage looks the same twice: an answer shorter than the object is no evidence."""
    notes = []
    store = EvaluationStore(prefix, proxy.endpoint, patience=60, note=notes.append)
    store.put(EVALUATION)
    proxy.order(fault, times=times if fault == "shorten" else 1, method="GET")
    assert store.find(EVALUATION.key, EVALUATION.digest) == EVALUATION
    assert not any("kept as" in note for note in notes)
    assert EvaluationStore(prefix).get(EVALUATION.key) == EVALUATION


def test_answers_that_are_always_short_are_the_storages_fault(proxy, prefix):
    store = EvaluationStore(prefix, proxy.endpoint)
    store.put(EVALUATION)
    proxy.order("shorten", times=1000, method="GET")
    with pytest.raises(StorageAway, match=f"of {len(GOOD)} bytes arrive"):
        store.find(EVALUATION.key)
    assert EvaluationStore(prefix).get(EVALUATION.key) == EVALUATION


def test_a_malformed_evaluation_that_may_not_be_moved_is_an_error(proxy, prefix):
    open_storage(prefix).write(NAME, MALFORMED["another's"])
    store = EvaluationStore(prefix, proxy.endpoint)
    proxy.order("forbidden", times=1000, method="PUT")
    with pytest.raises(StoreError, match="the evaluation's key is its file name"):
        store.find(EVALUATION.key)
    assert open_storage(prefix).read(NAME, 1 << 20).content == MALFORMED["another's"]


def test_each_server_and_key_has_a_client_of_its_own(s3, prefix, monkeypatch):
    store = EvaluationStore(prefix)
    store.put(EVALUATION)
    with monkeypatch.context() as other:
        other.setenv("AWS_SECRET_ACCESS_KEY", "another-secret")
        with pytest.raises(StoreError, match="refuses"):
            store.get(EVALUATION.key)
    assert store.get(EVALUATION.key) == EVALUATION


def answer(code, status):
    error = OSError(5, "said")
    error.__cause__ = type("ClientError", (Exception,), {})()
    error.__cause__.response = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return error


@pytest.mark.parametrize(
    ("code", "status", "away"),
    [
        ("SlowDown", 503, True),
        ("InternalError", 500, True),
        ("", 502, True),
        ("", 429, True),
        ("RequestTimeout", 400, True),
        ("RequestTimeTooSkewed", 403, True),
        ("AccessDenied", 403, False),
        ("ExpiredToken", 400, False),
        ("NoSuchBucket", 404, False),
        ("PermanentRedirect", 301, False),
        ("InvalidBucketName", 400, False),
        ("SomethingNew", 400, False),
    ],
)
def test_what_may_pass_is_told_from_what_is_wrong(code, status, away):
    found = bucket._explain(answer(code, status), "read", "s3://star/x", "star")
    assert isinstance(found, StorageAway) == away
    assert "s3://star/x: cannot be read" in str(found)
