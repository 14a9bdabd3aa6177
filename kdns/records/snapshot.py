"""What is known of a cluster, as lines of JSON: what a start without its API server answers from.

The first line is a header, each further one holds some objects of one kind, the last one a checksum of
all before it. Objects may gain and lose fields without another format: what is not known is passed
over, what is missing has its default. Pure: ``sources.snapshots`` reads and writes the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from typing import Final

import msgspec
from msgspec import Raw, Struct

from kdns.records.objects import LISTS, Kind, Object

FORMAT: Final = 1

MARK: Final = b'{"kdns_snapshot":'
"""What the file begins with."""

CHUNK: Final = 50
"""Objects of a line: full EndpointSlices take a millisecond, and a writer lets others run between lines."""


class SnapshotError(ValueError):
    """These lines cannot be used; the message says why."""


class Header(Struct, frozen=True, kw_only=True):
    """What the snapshot is of."""

    kdns_snapshot: int = FORMAT
    """First in the file, see ``MARK``."""
    taken_at: float
    """Unix time when all of it was last known to be current."""
    address: str = ""
    """URL of the API server; "" if that was not known."""
    selection: str = ""
    """The settings that decide which cluster, and which of its objects."""


class Snapshot(Struct, frozen=True):
    """A cluster's objects at some time."""

    header: Header
    objects: Mapping[Kind, tuple[Object, ...]]
    """Only of the kinds that were watched."""


class _Line(Struct, frozen=True):
    kind: str = ""
    objects: Raw = Raw(b"[]")
    sha256: str = ""


_encoder: Final = msgspec.json.Encoder()
_line: Final = msgspec.json.Decoder(_Line)
_header: Final = msgspec.json.Decoder(Header)


def encode(snapshot: Snapshot) -> Iterator[bytes]:
    """The lines of a snapshot."""
    digest = sha256()
    for line in _content(snapshot):
        digest.update(line)
        yield line
    yield _encoder.encode({"sha256": digest.hexdigest()}) + b"\n"


def _content(snapshot: Snapshot) -> Iterator[bytes]:
    yield _encoder.encode(snapshot.header) + b"\n"
    for kind, objects in snapshot.objects.items():
        for start in range(0, len(objects) or 1, CHUNK):
            part = objects[start : start + CHUNK]
            yield _encoder.encode({"kind": kind.value, "objects": part}) + b"\n"


def decode(lines: Iterable[bytes]) -> Snapshot:
    """Read the lines of a snapshot. Raises ``SnapshotError``."""
    content = iter(lines)
    first = next(content, b"")
    header = _read_header(first)
    digest = sha256(first)
    objects: dict[Kind, list[Object]] = {}
    for line in content:
        try:
            read = _line.decode(line)
            if read.sha256:
                return _finish(header, objects, read.sha256 == digest.hexdigest())
            kind = _KINDS.get(read.kind)
            if kind is not None:
                objects.setdefault(kind, []).extend(
                    msgspec.json.decode(read.objects, type=LISTS[kind])
                )
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise SnapshotError(f"damaged: {error}") from error
        digest.update(line)
    raise SnapshotError("damaged: its end is missing")


_KINDS: Final = {kind.value: kind for kind in Kind}


def _read_header(line: bytes) -> Header:
    try:
        version = msgspec.json.decode(line, type=dict[str, object]).get("kdns_snapshot")
        if not isinstance(version, int):
            raise SnapshotError("not a snapshot of kdns")
        if version > FORMAT:
            raise SnapshotError(f"format {version} is of a newer kdns; this one reads {FORMAT}")
        return _header.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise SnapshotError("not a snapshot of kdns") from error


def _finish(header: Header, objects: Mapping[Kind, list[Object]], intact: bool) -> Snapshot:
    if not intact:
        raise SnapshotError("damaged: its checksum is another one")
    return Snapshot(header, {kind: tuple(found) for kind, found in objects.items()})
