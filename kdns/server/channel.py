"""What the main process and its workers say to each other: msgpack messages on a socket pair.

Changes go down as they are applied, so a worker's index is the main one's a moment later; figures come
up once a second. Both ends are this program, so a message that cannot be read is a mistake of ours.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final, Literal, TypeAlias

import msgspec
from msgspec import Raw, Struct

from kdns.config.tree import ServerBlock
from kdns.derivation.messages import Batch, Watch
from kdns.metrics.exported import Exported
from kdns.records.objects import KINDS, LISTS, TYPES, Change, Gone, Kind, Put, Replaced
from kdns.status import ResourceStatus

_LENGTH: Final = 4

MAX_UNREAD: Final = 512 * 1024 * 1024
"""Octets that may wait for the other side: more than the whole of a very large cluster. Who falls
behind further is given up, since it serves what is long gone."""


class Configure(Struct, tag=True, frozen=True):
    """Serve this from now on. What the clusters hold follows."""

    blocks: tuple[ServerBlock, ...]


class Apply(Struct, tag=True, frozen=True):
    """A change; ``cluster`` counts in the order in which the configuration names them."""

    cluster: int
    verb: Literal["put", "gone", "replaced"]
    kind: Kind
    body: Raw


class Status(Struct, tag=True, frozen=True):
    """How current a cluster is."""

    cluster: int
    name: str
    resources: dict[str, ResourceStatus]


class Drain(Struct, tag=True, frozen=True):
    """Answer what was asked, at most so long, and end."""

    seconds: float


class Serving(Struct, tag=True, frozen=True):
    """From a worker: what it was told last is in use."""

    problem: str = ""
    """Why it is not, if so."""


class Figures(Struct, tag=True, frozen=True):
    """From a worker: its metrics as they are now, the last time with how many it cut off."""

    exported: Exported


Message: TypeAlias = Configure | Apply | Status | Drain | Serving | Figures | Watch | Batch

_decoder: Final = msgspec.msgpack.Decoder(Message)
_encoder: Final = msgspec.msgpack.Encoder()


def pack(cluster: int, change: Change) -> Apply:
    """A change as a message."""
    match change:
        case Put(item):
            return Apply(cluster, "put", KINDS[type(item)], Raw(_encoder.encode(item)))
        case Gone(kind, namespace, name):
            return Apply(cluster, "gone", kind, Raw(_encoder.encode((namespace, name))))
        case Replaced(kind, objects):
            return Apply(cluster, "replaced", kind, Raw(_encoder.encode(objects)))


def unpack(message: Apply) -> Change:
    """The change in a message."""
    decode = msgspec.msgpack.decode
    match message.verb:
        case "put":
            return Put(decode(message.body, type=TYPES[message.kind]))
        case "gone":
            namespace, name = decode(message.body, type=tuple[str, str])
            return Gone(message.kind, namespace, name)
        case "replaced":
            return Replaced(message.kind, decode(message.body, type=LISTS[message.kind]))


class Channel:
    """One end of the socket pair."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, sock: socket.socket) -> Channel:
        """Take over a connected socket."""
        return cls(*await asyncio.open_unix_connection(sock=sock))

    def send(self, message: Message) -> bool:
        """Queue a message; False when the other side is gone, or does not read and is given up."""
        data = _encoder.encode(message)
        if self._writer.is_closing():
            return False
        if self._writer.transport.get_write_buffer_size() + len(data) > MAX_UNREAD:
            self._writer.transport.abort()
            return False
        self._writer.write(len(data).to_bytes(_LENGTH, "big") + data)
        return True

    async def messages(self) -> AsyncIterator[Message]:
        """What comes, until the other side is gone."""
        try:
            while True:
                length = int.from_bytes(await self._reader.readexactly(_LENGTH), "big")
                yield _decoder.decode(await self._reader.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError):
            return

    async def drain(self) -> None:
        """Wait until what was queued is on its way, or there is nobody to read it."""
        with suppress(ConnectionError):
            await self._writer.drain()

    def close(self) -> None:
        self._writer.close()
