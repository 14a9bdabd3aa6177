"""What is said over the debug socket, and about questions between the processes of the server.

Messages are msgpack behind their length. Questions and replies are octets, as they came in and went
out: whoever watches reads them, not the server.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec
from msgspec import Struct

from kdns.wire.message import Transport

LENGTH: Final = 4
"""Octets in front of a message that say how many follow."""


class Seen(Struct, array_like=True):
    """One question and what became of it."""

    time: float
    """Unix seconds when it came in."""
    client: str
    port: int
    transport: Transport
    request: bytes
    reply: bytes
    """Empty where nothing was sent."""
    seconds: float
    kept: bool
    """Whether the reply was one that was kept."""
    reason: str = ""
    """Why it is negative, where the reply has no room for that: the asker spoke no EDNS."""


class Watch(Struct, tag=True, frozen=True):
    """Tell of every question from now on, or of none."""

    on: bool = True


class Batch(Struct, tag=True):
    """What was seen since the last one."""

    seen: list[Seen]
    missed: int = 0
    """Questions that were too many to be told of."""
    pods: dict[str, str] = {}
    """``NAMESPACE/NAME`` by address, of those clients that are known."""


class SetFault(Struct, tag=True, frozen=True):
    """Let this go wrong; it takes the place of what was set for the same name."""

    words: list[str]


class ClearFaults(Struct, tag=True, frozen=True):
    """Let what was set for a name go wrong no more; "" for all."""

    name: str = ""


class ListFaults(Struct, tag=True, frozen=True):
    """Say what was set."""


class Done(Struct, tag=True, frozen=True):
    """The faults that are set now, and why the request failed, or ""."""

    faults: list[str] = []
    problem: str = ""


Request: TypeAlias = Watch | SetFault | ClearFaults | ListFaults
Reply: TypeAlias = Batch | Done

requests: Final = msgspec.msgpack.Decoder(Request)
replies: Final = msgspec.msgpack.Decoder(Reply)
_encoder: Final = msgspec.msgpack.Encoder()


def frame(message: Request | Reply) -> bytes:
    """The octets of a message."""
    data = _encoder.encode(message)
    return len(data).to_bytes(LENGTH, "big") + data
