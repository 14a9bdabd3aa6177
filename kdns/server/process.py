"""What a server's process needs of its system: enough sockets, and a fast event loop."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress


def raise_file_limit() -> None:
    """To what the system allows, as Go's programs do: each question that is forwarded takes a socket."""
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415 (not on Windows)

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with suppress(ValueError, OSError):  # macOS has a limit of its own below "unlimited"
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """A datagram costs uvloop a quarter of what it costs asyncio's own loop; not for Windows."""
    if sys.platform == "win32":
        return None
    import uvloop  # noqa: PLC0415 (see above)

    return uvloop.new_event_loop
