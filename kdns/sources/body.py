"""A body that goes on for hours, handed over piece by piece within the callbacks that bring it.

A watch costs a busy server what its events cost. Reading them by a task takes two turns of the event
loop, a future and a timer for each, executed with cold caches: more than decoding and applying it
(see docs/performance.md). Knows nothing of what the pieces mean.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol, cast

Receive = Callable[[bytes], None]


class Content(Protocol):
    """What has come of a body and was not read yet: the part of ``aiohttp.StreamReader`` that is used."""

    def read_nowait(self, n: int = -1) -> bytes: ...

    def at_eof(self) -> bool: ...


class Tap(asyncio.Protocol):
    """Stands before the protocol that a transport has, and looks after each of its steps what came.

    ``ended`` is done at the body's end, and fails with what the body failed with, or ``receive``.
    """

    def __init__(self, transport: asyncio.Transport, content: Content, receive: Receive) -> None:
        self._transport, self._content, self._receive = transport, content, receive
        self._behind = cast("asyncio.Protocol", transport.get_protocol())
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ended.add_done_callback(self._stand_aside)
        transport.set_protocol(self)
        self._hand_over()

    def data_received(self, data: bytes) -> None:
        self._behind.data_received(data)
        self._hand_over()

    def eof_received(self) -> bool | None:
        return self._behind.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._behind.connection_lost(exc)
        self._hand_over()
        if not self.ended.done():
            self.ended.set_exception(exc or ConnectionResetError("closed before the body's end"))

    def pause_writing(self) -> None:
        self._behind.pause_writing()

    def resume_writing(self) -> None:
        self._behind.resume_writing()

    def _hand_over(self) -> None:
        if self.ended.done():
            return
        try:
            # Until there is none: reading may let what was held back be parsed.
            while not self.ended.done() and (piece := self._content.read_nowait()):
                self._receive(piece)
        except Exception as error:  # it belongs to who waits for the end, not to the event loop
            self.ended.set_exception(error)
        if self._content.at_eof() and not self.ended.done():
            self.ended.set_result(None)

    def _stand_aside(self, _: object) -> None:
        """The connection may serve other requests now, unless it ends."""
        if not self._transport.is_closing() and self._transport.get_protocol() is self:
            self._transport.set_protocol(self._behind)
