"""Objects in an S3 bucket, through s3fs: one request at a time, without its caches and hidden retries."""

from __future__ import annotations

import os
import threading
from typing import Any

from aiohttp import ClientError as ConnectionFault
from botocore import exceptions
from botocore.parsers import ResponseParserError
from fsspec.asyn import sync
from s3fs import S3FileSystem

from star_core.errors import StoreError
from star_core.storage.contract import Found, ObjectStorage
from star_core.storage.failures import cause, failure, is_away

CONNECT_SECONDS, ANSWER_SECONDS, REQUEST_SECONDS = 3, 6, 12
"""Limits of one request: until the server takes it, between two parts of its answer, and in all."""
CONNECTIONS = 32
_AWAY = (
    exceptions.ConnectionError,
    exceptions.HTTPClientError,
    exceptions.IncompleteReadError,
    exceptions.FlexibleChecksumError,
    exceptions.ChecksumError,
    exceptions.CredentialRetrievalError,
    exceptions.MetadataRetrievalError,
    ResponseParserError,
    ConnectionFault,
    EOFError,
)
_AWAY_CODES = {
    "ConditionalRequestConflict",
    "InternalError",
    "OperationAborted",
    "RequestLimitExceeded",
    "RequestTimeout",
    "RequestTimeTooSkewed",
    "ServiceUnavailable",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
}
_SIGN_IN = (
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, to a key that may read, write and "
    "delete there"
)


class Bucket(ObjectStorage):
    """Objects below a prefix of a bucket. Credentials come from where every AWS program looks for them.

    Conditions (``If-None-Match``, ``If-Match``) are the server's: of those who create an object, or
    replace the same one, at the same time, one succeeds. A server that refuses conditions is asked
    before it is written to instead, which is no guarantee.
    """

    def __init__(self, bucket: str, prefix: str, endpoint: str | None) -> None:
        self._bucket, self._prefix, self._endpoint = bucket, prefix, endpoint

    def place(self, name: str) -> str:
        """The object's URL."""
        return f"s3://{self._bucket}/{self._key(name)}"

    def read(self, name: str, limit: int) -> Found | None:
        """An object, its content only up to ``limit`` bytes; ``None`` if there is none."""
        try:
            found: Found = self._ask("read", name, _fetch, limit)
        except _NoObject:
            return None
        return found

    def size(self, name: str) -> int | None:
        """The object's size in its head."""
        try:
            return int(self._call("read", name, "head_object")["ContentLength"])
        except _NoObject:
            return None

    def write(self, name: str, content: bytes) -> None:
        """Puts an object."""
        self._call("written", name, "put_object", Body=content)

    def move(self, name: str, target: str, tag: str) -> bool:
        """Copies the object with ``tag`` within the bucket, then removes it."""
        if self.size(target) is not None:
            return False
        source = {"Bucket": self._bucket, "Key": self._key(name)}
        try:
            self._call("moved", target, "copy_object", CopySource=source, CopySourceIfMatch=tag)
        except (_Unmet, _NoObject):  # somebody else did
            return True
        self.delete(name, tag)
        return True

    def create(self, name: str, content: bytes) -> str | None:
        """Puts an object if there is none of the name."""
        try:
            return self._tag("written", name, "put_object", Body=content, IfNoneMatch="*")
        except _Unmet:
            return None
        except _Unconditional:
            return None if self.size(name) is not None else self._put(name, content)

    def replace(self, name: str, content: bytes, tag: str) -> str | None:
        """Puts an object in the place of the one with ``tag``."""
        try:
            return self._tag("written", name, "put_object", Body=content, IfMatch=tag)
        except (_Unmet, _NoObject):
            return None
        except _Unconditional:
            return self._put(name, content) if self._has(name, tag) else None

    def delete(self, name: str, tag: str) -> bool:
        """Removes the object with ``tag``."""
        try:
            self._call("deleted", name, "delete_object", IfMatch=tag)
        except (_Unmet, _NoObject):
            return False
        except _Unconditional:
            if not self._has(name, tag):
                return False
            self._call("deleted", name, "delete_object")
        return True

    def has_conditions(self, name: str) -> bool:
        """Whether the server keeps the condition of ``create``; ``name`` is an object that is there."""
        try:
            self._call("written", name, "put_object", Body=b"", IfNoneMatch="*")
        except _Unmet:
            return True
        except _Unconditional:
            pass
        return False

    def _put(self, name: str, content: bytes) -> str | None:
        """Puts without a condition; ``None`` if somebody else put another content right after."""
        tag = self._tag("written", name, "put_object", Body=content)
        return tag if self._has(name, tag) else None

    def _has(self, name: str, tag: str) -> bool:
        try:
            return self._tag("read", name, "head_object") == tag
        except _NoObject:
            return False

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{name}" if self._prefix else name

    def _tag(self, action: str, name: str, method: str, **arguments: Any) -> str:
        return str(self._call(action, name, method, **arguments)["ETag"])

    def _call(self, action: str, name: str, method: str, **arguments: Any) -> Any:
        return self._ask(action, name, _request, method, **arguments)

    def _ask(self, action: str, name: str, question: Any, *details: Any, **arguments: Any) -> Any:
        arguments |= {"timeout": REQUEST_SECONDS, "Bucket": self._bucket, "Key": self._key(name)}
        try:
            client = _client(self._endpoint)
            return sync(client.loop, question, client, *details, **arguments)
        except Exception as error:
            raise _explain(error, action, self.place(name), self._bucket) from cause(error)


class _NoObject(StoreError):  # noqa: N818
    """There is no such object."""


class _Unmet(StoreError):  # noqa: N818
    """The condition does not hold."""


class _Unconditional(StoreError):  # noqa: N818
    """The server knows no such condition."""


async def _request(client: S3FileSystem, method: str, **arguments: Any) -> Any:
    return await client._call_s3(method, **arguments)


async def _fetch(client: S3FileSystem, limit: int, **where: Any) -> Found:
    response = await client._call_s3("get_object", **where)
    size, body = int(response["ContentLength"]), response["Body"]
    try:
        content = await body.read() if size <= limit else b""
    finally:
        body.close()
    if size <= limit and len(content) != size:
        raise ConnectionError(f"{len(content)} of {size} bytes arrived")
    return Found(content, size, str(response["ETag"]))


def _explain(error: Exception, action: str, place: str, bucket: str) -> StoreError:
    """The error for people: away, or wrong with the reason and what to do about it."""
    said = getattr(error, "response", None) or getattr(error.__cause__, "response", None)
    if not isinstance(said, dict):
        wrong = (exceptions.SSLError, exceptions.NoCredentialsError, exceptions.PartialCredentialsError)
        fix = _SIGN_IN if isinstance(error, wrong[1:]) else ""
        away = not isinstance(error, wrong) and (isinstance(error, _AWAY) or is_away(error))
        rule = f"no answer in {REQUEST_SECONDS} s" if isinstance(error, TimeoutError) else ""
        return failure(error, action, place, away=away, rule=rule, fix=fix)
    code = str(said.get("Error", {}).get("Code", ""))
    status = int(said.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code == "NoSuchBucket":
        return failure(
            error,
            action,
            place,
            away=False,
            rule=f"there is no bucket {bucket!r}",
            fix="create it, or correct runtime.storage and runtime.endpoint",
        )
    if code == "RequestTimeTooSkewed":
        rule = "this machine's clock and the server's differ too much"
        return failure(error, action, place, away=True, rule=rule, fix="set the clock")
    if code in ("NoSuchKey", "404"):
        return _NoObject("is not there", place=place)
    if code in ("PreconditionFailed", "412"):
        return _Unmet("is not as it was", place=place)
    if status == 501 or code == "NotImplemented":
        return _Unconditional("no conditions", place=place)
    if code in _AWAY_CODES or status == 429 or status >= 500:
        return failure(error, action, place, away=True, rule=f"the server says {code or status}")
    if status in (401, 403) or code in ("ExpiredToken", "InvalidToken", "TokenRefreshRequired"):
        rule = f"the server refuses these credentials: {code or status}"
        return failure(error, action, place, away=False, rule=rule, fix=_SIGN_IN)
    return failure(error, action, place, away=False)


_clients: dict[tuple[object, ...], S3FileSystem] = {}
_opening = threading.Lock()
_inherited: list[dict[tuple[object, ...], S3FileSystem]] = []
"""A forked child's copies of its parent's clients: kept, since closing them would talk to its sockets."""


def _client(endpoint: str | None) -> S3FileSystem:
    """This process's client of a server, made anew when the environment names other credentials."""
    settings = frozenset((name, value) for name, value in os.environ.items() if name.startswith("AWS_"))
    with _opening:
        if (endpoint, settings) not in _clients:
            client = S3FileSystem(
                endpoint_url=endpoint,
                skip_instance_cache=True,
                use_listings_cache=False,
                config_kwargs={
                    "connect_timeout": CONNECT_SECONDS,
                    "read_timeout": ANSWER_SECONDS,
                    "retries": {"total_max_attempts": 1},
                    "max_pool_connections": CONNECTIONS,
                },
            )
            client.retries = 1
            _clients[endpoint, settings] = client
        return _clients[endpoint, settings]


def _forget() -> None:
    global _clients, _opening
    _inherited.append(_clients)
    _clients, _opening = {}, threading.Lock()


os.register_at_fork(after_in_child=_forget)
