"""Reading configuration text from disk: the Corefile, and what it imports.

Knows nothing of the syntax. Files are UTF-8 and small; whatever is not is refused.
"""

from __future__ import annotations

import glob
import os
from typing import Final

from kdns.config.tree import ConfigError, Location

MAX_BYTES: Final = 4 * 1024 * 1024  # a ConfigMap holds 1 MiB; this also ends reading /dev/zero


def load(pattern: str, importing_file: str) -> list[tuple[str, str]]:
    """Path and text of the files that an ``import`` names, in the order of their names.

    A relative pattern starts at the importing file's folder. ``*`` and ``?`` are wildcards, which
    may match nothing (hidden files never). Raises ``ConfigError`` for a named file that is missing, and for
    one that cannot be read.
    """
    path = os.path.normpath(os.path.join(os.path.dirname(importing_file), pattern))
    if "*" in pattern or "?" in pattern:
        return [(match, read(match)) for match in sorted(glob.glob(_escape(path)))]
    return [(path, read(path))]


def _escape(path: str) -> str:
    """Only ``*`` and ``?`` are wildcards; a folder's name may hold a bracket."""
    return path.replace("[", "[[]")


def read(path: str) -> str:
    """The text of a file. Raises ``ConfigError`` when it is missing, too large or not UTF-8."""
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the path
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError(f"cannot read {path!r}: {reason}") from error
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{path!r} is larger than {MAX_BYTES} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        place = Location(path, data.count(b"\n", 0, error.start) + 1)
        raise ConfigError(
            f"expected UTF-8, found the byte 0x{data[error.start]:02x}", place
        ) from error
