"""Opens the storage at a location: a folder, an S3 bucket, or anything else that fsspec reaches."""

from __future__ import annotations

import re

from star_core.errors import StoreError
from star_core.paths import local_path
from star_core.storage.contract import PLACE, Storage
from star_core.storage.folder import Folder

_S3 = ("s3", "s3a")
_LOCAL = ("file", "local")
_ENDPOINT = re.compile(r"https?://[^/\s]+(/\S*)?")


def open_storage(location: str, endpoint: str | None = None) -> Storage:
    """The storage at a location; nothing is asked of it yet.

    Args:
        location: A folder, or an fsspec URL such as ``s3://bucket/prefix``.
        endpoint: URL of the S3 server; ``None``: the environment's, else Amazon's.

    Raises:
        StoreError: The location or the endpoint is malformed, or has credentials in it.
    """
    scheme, separator, rest = location.partition("://")
    if not separator:
        return Folder(local_path(location))
    _refuse_credentials(location, PLACE)
    if scheme in _LOCAL:
        return Folder(rest)
    if scheme not in _S3:
        from star_core.storage.fsspec_files import Filesystem

        return Filesystem(location)
    bucket, _, prefix = rest.partition("/")
    if not bucket:
        raise StoreError("names no bucket", value=location, place=PLACE, fix="write s3://bucket/prefix")
    if endpoint is not None:
        _refuse_credentials(endpoint, "runtime.endpoint")
        if not _ENDPOINT.fullmatch(endpoint):
            raise StoreError(
                "not the URL of a server",
                value=endpoint,
                place="runtime.endpoint",
                fix="write http://host:port or https://host",
            )
    from star_core.storage.s3 import Bucket

    return Bucket(bucket, prefix.strip("/"), endpoint)


def _refuse_credentials(url: str, place: str) -> None:
    scheme, _, rest = url.partition("://")
    before, at, after = rest.rpartition("@")
    host = rest.partition("/")[0]
    # A user's name alone is none; a bucket has neither name nor port.
    suspect = (at and (":" in before or scheme in _S3)) or (
        scheme in _S3 and ":" in host and not host.startswith("arn:")
    )
    if suspect or "?" in rest or "#" in rest:
        shown = f"{scheme}://…" + (f"@{re.split('[?#]', after)[0]}" if at else "")
        raise StoreError(
            "credentials and options do not belong in a URL, which is logged and stored",
            value=shown,
            place=place,
            fix="write it without what stands before @ or after ?, and set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY or a profile in ~/.aws",
        )
    if "::" in url:
        raise StoreError(
            "chained URLs are not read here: a cache in between would hide what others store",
            value=url,
            place=place,
            fix="name the storage itself",
        )
