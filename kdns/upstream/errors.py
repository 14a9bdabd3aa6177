"""Why there is no reply, in the words of logs and of Extended DNS Errors."""

from __future__ import annotations

import errno
import os
from typing import Final

_LOCAL: Final = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EAGAIN, errno.EWOULDBLOCK}
)


class UpstreamError(Exception):
    """No usable reply; the text says why."""


class LocalError(UpstreamError):
    """This machine could not even send the query (no more sockets), which says nothing about the upstream."""


def broken(error: Exception) -> UpstreamError:
    """What an error of a socket means."""
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    if isinstance(error, ConnectionError) and error.errno:
        reason = os.strerror(error.errno)  # asyncio says only that a call failed
    reason = reason[:1].lower() + reason[1:]  # as Go has it, and the rest of our log
    if isinstance(error, OSError) and error.errno in _LOCAL:
        return LocalError(reason)
    return UpstreamError(reason)
