"""API objects in, trimmed values out: pages of a list, lines of a watch, documents of a manifest.

Nothing here raises because of input. A page is decoded in one typed step; only when that fails is
it taken item by item, and a broken item field by field (``repair``). Every reason for leaving
something out is returned, for one debug line.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Generic, TypeVar

from msgspec import Raw, Struct
from msgspec.json import Decoder

from kdns.records.objects import Kind, Object
from kdns.records.repair import BROKEN, repair
from kdns.records.shapes import (
    BookmarkShape,
    EventShape,
    ImportShape,
    ListMetadata,
    NamespaceShape,
    NodeShape,
    PodShape,
    ServiceShape,
    Shape,
    SliceShape,
    StatusShape,
)
from kdns.records.trimming import identity, trim

T = TypeVar("T")


class ObjectList(Struct, frozen=True):
    """One page of a list."""

    objects: tuple[Object, ...] = ()
    resource_version: str = ""
    continue_token: str = ""
    """"" on the last page."""
    rejected: tuple[str, ...] = ()
    """What was left out, as ``services shop/web: spec.ports[0].port: …``."""
    error: str = ""
    """Why this is not a page at all; then everything else is empty and means nothing."""


class Event(Struct, frozen=True):
    """One line of a watch."""

    type: str
    """ADDED, MODIFIED, DELETED, BOOKMARK, ERROR; "" for a line that is no event: see ``message``."""
    object: Object | None = None
    """None also for a Pod that has ended: it is to be treated as deleted."""
    namespace: str = ""
    name: str = ""
    resource_version: str = ""
    status_code: int = 0
    """Of an ERROR: the HTTP status that it stands for."""
    message: str = ""
    rejected: tuple[str, ...] = ()
    ends_list: bool = False
    """Of a BOOKMARK: what came before it is the whole collection."""

    @property
    def current(self) -> Object | None:
        """The object as it is from now on; None when it is gone, or not to be served any more."""
        return self.object if self.type in {"ADDED", "MODIFIED"} else None


class Decoded(Struct, frozen=True):
    """One object, as far as it could be used."""

    object: Object | None = None
    rejected: tuple[str, ...] = ()


class _Page(Struct, Generic[T], gc=False):
    items: list[T] | None
    metadata: ListMetadata | None = None


_SHAPES: Final[dict[Kind, type[Shape]]] = {
    Kind.SERVICE: ServiceShape,
    Kind.SLICE: SliceShape,
    Kind.POD: PodShape,
    Kind.NAMESPACE: NamespaceShape,
    Kind.NODE: NodeShape,
    Kind.IMPORT: ImportShape,
}
_PAGES: Final[dict[Kind, Decoder[_Page[Shape]]]] = {
    Kind.SERVICE: Decoder(_Page[ServiceShape]),
    Kind.SLICE: Decoder(_Page[SliceShape]),
    Kind.POD: Decoder(_Page[PodShape]),
    Kind.NAMESPACE: Decoder(_Page[NamespaceShape]),
    Kind.NODE: Decoder(_Page[NodeShape]),
    Kind.IMPORT: Decoder(_Page[ImportShape]),
}
_EVENTS: Final[dict[Kind, Decoder[EventShape[Shape]]]] = {
    Kind.SERVICE: Decoder(EventShape[ServiceShape]),
    Kind.SLICE: Decoder(EventShape[SliceShape]),
    Kind.POD: Decoder(EventShape[PodShape]),
    Kind.NAMESPACE: Decoder(EventShape[NamespaceShape]),
    Kind.NODE: Decoder(EventShape[NodeShape]),
    Kind.IMPORT: Decoder(EventShape[ImportShape]),
}
_OBJECTS: Final = {kind: Decoder(shape) for kind, shape in _SHAPES.items()}
_BOOKMARK: Final = Decoder(EventShape[BookmarkShape])
_RAW_PAGE: Final = Decoder(_Page[Raw])
_RAW_EVENT: Final = Decoder(EventShape[Raw])
_ANYTHING: Final = Decoder(object)


def decode_list(kind: Kind, body: bytes) -> ObjectList:
    """Decode a page of a list response (Kubernetes API concepts, "Large results sets")."""
    rejected: list[str] = []
    try:
        page = _PAGES[kind].decode(body)
        objects = [_trim(kind, shape, rejected) for shape in page.items or ()]
        metadata = page.metadata
    except BROKEN:
        try:
            raw = _RAW_PAGE.decode(body)
        except BROKEN as error:
            return ObjectList(error=f"not a list of {kind.value}: {error}")
        objects = [_decode(kind, item, rejected) for item in raw.items or ()]
        metadata = raw.metadata
    if metadata is None or not metadata.resource_version:
        return ObjectList(error=f"not a list of {kind.value}: no metadata.resourceVersion")
    return ObjectList(
        objects=tuple(each for each in objects if each is not None),
        resource_version=metadata.resource_version,
        continue_token=metadata.continue_ or "",
        rejected=tuple(rejected),
    )


def decode_event(kind: Kind, line: bytes) -> Event:
    """Decode a line of a watch response (Kubernetes API, WatchEvent)."""
    try:
        event = _EVENTS[kind].decode(line)
    except BROKEN:
        return _unusual_event(kind, line)
    if event.type == "ERROR":  # with a Status in the object's place
        return _unusual_event(kind, line)
    if event.type == "BOOKMARK":
        return _bookmark(event.object, line)
    return _event(kind, event.type, event.object, [])


def _bookmark(shape: Shape, line: bytes) -> Event:
    """An object of the kind with nothing but metadata: a version, and what that is the end of."""
    version = (shape.metadata and shape.metadata.resource_version) or ""
    try:
        metadata = _BOOKMARK.decode(line).object.metadata
    except BROKEN:  # a strange mark is none
        return Event("BOOKMARK", resource_version=version)
    ends_list = metadata.annotations.initial_events_end == "true"
    return Event("BOOKMARK", resource_version=version, ends_list=ends_list)


def _unusual_event(kind: Kind, line: bytes) -> Event:
    """An error, or an event whose object is not as it should be."""
    try:
        event = _RAW_EVENT.decode(line)
    except BROKEN as error:
        return Event(type="", message=f"not a watch event: {error}")
    if event.type == "ERROR":
        return _error_event(event.object)
    rejected: list[str] = []
    shape = _shape(kind, event.object, rejected)
    return _event(kind, event.type, shape, rejected)


def _event(kind: Kind, type_: str, shape: Shape | None, rejected: list[str]) -> Event:
    metadata = shape.metadata if shape else None
    namespace, name = identity(kind, metadata) or ("", "")
    return Event(
        type_,
        # A bookmark is an object of the kind with nothing but a resourceVersion: nothing to trim.
        _trim(kind, shape, rejected) if shape and type_ != "BOOKMARK" else None,
        namespace,
        name,
        resource_version=(metadata and metadata.resource_version) or "",
        rejected=tuple(rejected),
    )


def from_mapping(kind: Kind, mapping: Mapping[str, object]) -> Decoded:
    """Convert an object of a manifest, as a YAML or JSON reader gives it."""
    rejected: list[str] = []
    shape = repair(mapping, _SHAPES[kind], rejected)
    trimmed = _trim(kind, shape, rejected) if shape is not None else None
    return Decoded(trimmed, tuple(rejected))


def status_message(body: bytes) -> str:
    """Return what a failed request's body says for people; "" when it is not a Status."""
    status = _status(body)
    return (status.message or status.reason or "") if status else ""


def _status(body: bytes | Raw) -> StatusShape | None:
    try:
        return repair(_ANYTHING.decode(body), StatusShape, [])
    except BROKEN:
        return None


def _error_event(raw: Raw) -> Event:
    status = _status(raw) or StatusShape()
    message = status.message or status.reason or "no message"
    return Event(type="ERROR", status_code=status.code or 0, message=message)


def _decode(kind: Kind, raw: Raw, rejected: list[str]) -> Object | None:
    shape = _shape(kind, raw, rejected)
    return _trim(kind, shape, rejected) if shape is not None else None


def _shape(kind: Kind, raw: Raw, rejected: list[str]) -> Shape | None:
    """Decode one object, as a whole or else field by field."""
    try:
        return _OBJECTS[kind].decode(raw)
    except BROKEN:
        pass
    try:
        value = _ANYTHING.decode(raw)
    except BROKEN as error:
        rejected.append(f"{kind.value}: {error}")
        return None
    reasons: list[str] = []
    shape = repair(value, _SHAPES[kind], reasons)
    rejected += _located(kind, shape, reasons)
    return shape


def _trim(kind: Kind, shape: Shape, rejected: list[str]) -> Object | None:
    reasons: list[str] = []
    trimmed = trim(kind, shape, reasons)
    if reasons:
        rejected += _located(kind, shape, reasons)
    return trimmed


def _located(kind: Kind, shape: Shape | None, reasons: list[str]) -> list[str]:
    """Say of which object the reasons are."""
    namespace, name = identity(kind, shape.metadata if shape else None) or ("?", "?")
    where = f"{namespace}/{name}" if namespace else name
    return [f"{kind.value} {where}: {reason}" for reason in reasons]
