"""Reading configuration text from disk: the Corefile, and what it imports.

Knows nothing of the syntax. Files are UTF-8 and small; whatever is not is refused.
"""

from __future__ import annotations

import glob
import os
from typing import Final, TypeAlias

from kdns import whole_file
from kdns.config.tree import ConfigError, Location
from kdns.sources.noticing import Stamp, folders_of, stamp

Seen: TypeAlias = tuple[tuple[str, Stamp], ...]
"""A file, or the files of a pattern."""

MAX_BYTES: Final = 4 * 1024 * 1024  # a ConfigMap holds 1 MiB; this also ends reading /dev/zero


class Reading:
    """Reads as ``read`` and ``load`` do, and remembers what, to notice when that would be different."""

    def __init__(self) -> None:
        self._seen: dict[str, Seen] = {}

    def read(self, path: str) -> str:
        """See the function ``read``."""
        self._seen[path] = _look(path)  # before it is read: what changes meanwhile counts
        return read(path)

    def load(self, pattern: str, importing_file: str) -> list[tuple[str, str]]:
        """See the function ``load``."""
        path = _path(pattern, importing_file)
        self._seen[path] = _look(path)
        return load(pattern, importing_file)

    def note(self, path: str) -> None:
        """Count a file, there or not, that somebody else reads."""
        self._seen[path] = _look(path)

    def changed(self) -> bool:
        """Whether something was written, came or went since the last call."""
        before, self._seen = self._seen, {path: _look(path) for path in self._seen}
        return self._seen != before

    @property
    def folders(self) -> frozenset[str]:
        """Where what changes can be seen."""
        return folders_of(self._seen)


def _look(path: str) -> Seen:
    """What tells cheaply that a file, or the files of a pattern, may be different."""
    paths = sorted(glob.glob(_escape(path))) if _is_pattern(path) else [path]
    return tuple((path, stamp(path)) for path in paths)


def _path(pattern: str, importing_file: str) -> str:
    return os.path.normpath(os.path.join(os.path.dirname(importing_file), pattern))


def _is_pattern(path: str) -> bool:
    return "*" in path or "?" in path


def load(pattern: str, importing_file: str) -> list[tuple[str, str]]:
    """Path and text of the files that an ``import`` names, in the order of their names.

    A relative pattern starts at the importing file's folder. ``*`` and ``?`` are wildcards, which
    may match nothing (hidden files never). Raises ``ConfigError`` for a named file that is missing, and for
    one that cannot be read.
    """
    path = _path(pattern, importing_file)
    if _is_pattern(pattern):
        return [(match, read(match)) for match in sorted(glob.glob(_escape(path)))]
    return [(path, read(path))]


def _escape(path: str) -> str:
    """Only ``*`` and ``?`` are wildcards; a folder's name may hold a bracket."""
    return path.replace("[", "[[]")


def read(path: str) -> str:
    """The text of a file. Raises ``ConfigError`` when it is missing, too large or not UTF-8."""
    try:
        data = whole_file.read(path, MAX_BYTES)
    except OSError as error:
        raise ConfigError(f"cannot read {path!r}: {error.strerror or error}") from error
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        place = Location(path, data.count(b"\n", 0, error.start) + 1)
        raise ConfigError(
            f"expected UTF-8, found the byte 0x{data[error.start]:02x}", place
        ) from error
