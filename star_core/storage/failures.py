"""What went wrong with storage: away for a while, or wrong until somebody acts; said without credentials."""

from __future__ import annotations

import errno
import os
import re

from star_core.errors import StorageAway, StoreError

FIX = "check that the storage is there and that credentials and endpoint are set"
FREE_SPACE = "free disk space, then run the same command again; nothing finished is lost"
_FULL = {errno.ENOSPC, errno.EDQUOT}
_AWAY = _FULL | {
    errno.EIO,
    errno.EAGAIN,
    errno.EBUSY,
    errno.ESTALE,
    errno.ETIMEDOUT,
    errno.ENETDOWN,
    errno.ENETUNREACH,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
    errno.ENOTCONN,
    errno.ENFILE,
    errno.EMFILE,
    getattr(errno, "EREMOTEIO", errno.EIO),
}
_LONG_ENOUGH = 8
"""Characters of a secret that is looked for in a text; a shorter one is part of too many words."""
_SECRETS = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID")
_CREDENTIALS = re.compile(
    r"(?<=://)[^\s\"']+(?=@)"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{12,}"
    r"|(?<=Signature=)[^\s&,\"']+|(?<=Credential=)[^\s&,\"']+|(?<=Security-Token=)[^\s&,\"']+"
)


def is_away(error: BaseException) -> bool:
    """Whether an operating system's error may go away by itself."""
    if isinstance(error, (ConnectionError, TimeoutError)):
        return True
    return isinstance(error, OSError) and error.errno in _AWAY


def is_full(error: BaseException) -> bool:
    """Whether there was no room left."""
    return isinstance(error, OSError) and error.errno in _FULL


def failure(
    error: Exception, action: str, place: str, *, away: bool | None = None, rule: str = "", fix: str = ""
) -> StoreError:
    """The error to raise for what a file system or a server said.

    Args:
        error: The error that was raised there.
        action: What was tried: ``read``, ``written``, ….
        place: What could not be read or written.
        away: Whether that may go away by itself; ``None``: as far as ``is_away`` knows.
        rule: What is wrong, if that is known better than ``error`` says it.
        fix: What to do about it.
    """
    kind = StorageAway if (is_away(error) if away is None else away) else StoreError
    reason = rule or reason_of(error)
    return kind(
        f"cannot be {action} ({reason})",
        place=place,
        fix=fix or (FREE_SPACE if is_full(error) else FIX),
    )


def reason_of(error: BaseException) -> str:
    """One short line of what an error says."""
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return redact(" ".join(f"{type(error).__name__}: {said}".split()))[:200]


def redact(text: str) -> str:
    """The text without credentials, whether they stand in a URL, a header or this process's environment."""
    for name in _SECRETS:
        secret = os.environ.get(name, "")
        if len(secret) >= _LONG_ENOUGH:
            text = text.replace(secret, "…")
    return _CREDENTIALS.sub("…", text)


def cause(error: Exception) -> Exception | None:
    """The error to name as the cause: none if its own text holds credentials."""
    seen: BaseException | None = error
    while seen is not None:
        if redact(str(seen)) != str(seen):
            return None
        seen = seen.__cause__ or seen.__context__
    return error
