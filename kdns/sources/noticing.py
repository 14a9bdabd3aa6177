"""Noticing that files change: by what the system tells of their folders, and by looking now and then.

Knows nothing of what files mean, and reads none.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from math import inf
from pathlib import Path
from typing import Final, TypeAlias

from watchfiles import awatch

logger: Final = logging.getLogger("kdns.sources")

RESCAN: Final = 1.0
"""Seconds at most between two looks without any notification: network file systems send none, nor do
the targets of links, nor a folder in the moment before it is watched."""

Stamp: TypeAlias = tuple[int, int, int] | None
"""Time of change in nanoseconds, size and inode; None for a file that cannot be looked at."""

Signature: TypeAlias = tuple[Stamp, ...]


def stamp(path: str | Path) -> Stamp:
    """What tells cheaply that a file may have changed."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):  # ValueError: a NUL character in the path
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def signature(paths: Iterable[str]) -> Signature:
    """The same of several files."""
    return tuple(map(stamp, paths))


def folders_of(paths: Iterable[str]) -> frozenset[str]:
    """Those that hold the news of files, also of such as take another's place.

    A ConfigMap's file is a link: what changes is the folder that it leads through.
    """
    places = [place for path in paths for place in (os.path.abspath(path), os.path.realpath(path))]
    folders = {os.path.dirname(place) for place in places}
    return frozenset(folder for folder in folders if os.path.isdir(folder))


async def notices(
    folders: Iterable[str | Path], longest: float = inf, *, recursive: bool = False
) -> AsyncGenerator[frozenset[str]]:
    """The paths that are noticed in folders; none at a look after ``longest`` or ``RESCAN`` seconds.

    Raises ``OSError`` where the system does not tell.
    """
    try:
        changes = awatch(
            *sorted(folders),
            watch_filter=None,
            recursive=recursive,
            rust_timeout=max(1, round(min(longest, RESCAN) * 1000)),
            yield_on_timeout=True,
        )
        async with aclosing(changes):
            async for noticed in changes:
                yield frozenset(path for _, path in noticed)
    except Exception as error:  # watchfiles has many, also groups of them
        raise OSError(str(error)) from error


async def follow(
    folders: Callable[[], frozenset[str]], longest: float = inf
) -> AsyncGenerator[frozenset[str]]:
    """The same without an end, whatever the system tells, and from other folders once there are others."""
    while True:
        watched = folders()
        try:
            async with aclosing(notices(watched, longest)) as noticed:
                async for paths in noticed:
                    yield paths
                    if folders() != watched:
                        break
        except OSError as error:
            logger.debug("cannot watch %s: %s", ", ".join(sorted(watched)), error)
            await asyncio.sleep(min(longest, RESCAN))
            yield frozenset()
