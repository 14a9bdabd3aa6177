"""What the list and watch protocol needs of a connection, and how a connection says that it failed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol


class TransportError(Exception):
    """No usable HTTP answer: refused, reset, timed out, cut off, or no credentials to ask with.

    The message is for people and holds no secrets.
    """

    def __init__(self, message: str, *, refused: bool = False) -> None:
        super().__init__(message)
        self.refused = refused
        """The peer's host answered that nobody listens: asking again is cheap."""


class AccessError(Exception):
    """The settings for reaching the API server are wrong: ``FILE: FIELD: what``."""


class Reply(Protocol):
    """An HTTP answer whose body is read piece by piece."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Case-insensitive."""

    async def read(self) -> bytes:
        """Return the next piece of the body, b"" at its end; may be cancelled without loss.

        Raises ``TransportError`` when the connection breaks before the body's end.
        """

    async def follow(self, receive: Callable[[bytes], None]) -> None:
        """Hand each piece that comes to ``receive``, within the callback that brings it, until the end.

        Raises ``TransportError`` when the connection breaks before the body's end, and what ``receive``
        raises; nothing is handed over after that, nor after a cancellation.
        """


class Transport(Protocol):
    """An authenticated way to one API server."""

    @property
    def address(self) -> str:
        """For people, such as ``https://10.0.0.1:6443``."""

    def get(
        self, path: str, parameters: Mapping[str, str], patience: float
    ) -> AbstractAsyncContextManager[Reply]:
        """Send a GET; the answer's head must arrive within ``patience`` seconds.

        Raises ``TransportError``. An HTTP error status is an answer and raises nothing.
        """
