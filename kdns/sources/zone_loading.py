"""One zone from disk: the master file, and what it includes.

Paths are as the configuration names them; an ``$INCLUDE`` starts at the folder of the file it is in.
"""

from __future__ import annotations

import hashlib
import os
from typing import Final

from msgspec import Struct

from kdns import whole_file
from kdns.records.zone import Zone, ZoneError
from kdns.wire import names
from kdns.wire.master import MasterFileError, Placed, parse
from kdns.wire.message import Record
from kdns.wire.names import Name

MAX_BYTES: Final = 256 * 1024 * 1024  # some two million records; also ends reading /dev/zero


class ZoneFileError(ValueError):
    """A zone that cannot be loaded; its text is ``FILE:LINE: what was expected``."""

    def __init__(self, message: str, files: tuple[str, ...], unreadable: bool = False) -> None:
        super().__init__(message)
        self.files = files
        """What was read, or tried to."""
        self.unreadable = unreadable
        """The master file itself is not there or not to be read: it may come."""


class Loaded(Struct, frozen=True):
    """A zone and what it was made from."""

    zone: Zone
    files: tuple[str, ...]
    digest: bytes
    """Of the texts of all files: a touched file is no change."""


def load(origin: Name, path: str) -> Loaded:
    """Read the zone ``origin`` from ``path``. Raises ``ZoneFileError``."""
    reading = _Reading()
    try:
        text = reading.read(path)
    except (OSError, ValueError) as error:
        raise ZoneFileError(f"{path}: {_reason(error)}", reading.files, unreadable=True) from error
    try:
        placed = list(parse(text, path, names.to_wire(origin), reading.include))
    except MasterFileError as error:
        raise ZoneFileError(str(error), reading.files) from error
    try:
        zone = Zone.build(origin, [one.record for one in placed], path)
    except ZoneError as error:
        place = _place(error.record, placed, path)
        raise ZoneFileError(f"{place}: {error}", reading.files) from error
    return Loaded(zone, reading.files, reading.digest)


def _place(record: Record | None, placed: list[Placed], path: str) -> str:
    for one in placed:
        if record is not None and one.record == record:
            return f"{one.file}:{one.line}"
    return path


class _Reading:
    """Reads files and remembers which."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._files: dict[str, None] = {}

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(self._files)

    @property
    def digest(self) -> bytes:
        return self._hash.digest()

    def read(self, path: str) -> str:
        self._files[path] = None
        octets = whole_file.read(path, MAX_BYTES)
        self._hash.update(path.encode("utf-8", "surrogateescape") + b"\0" + octets + b"\0")
        return octets.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")

    def include(self, path: str, includer: str) -> tuple[str, str]:
        file = os.path.normpath(os.path.join(os.path.dirname(includer), path))
        return file, self.read(file)


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
