"""The other end of the debug socket: what is seen, read and put into words."""

from __future__ import annotations

import argparse
import select
import socket
from collections.abc import Iterator
from math import inf
from typing import Final

from msgspec import Struct

from kdns.config.tree import ConfigError
from kdns.derivation.messages import (
    LENGTH,
    Batch,
    Done,
    Reply,
    Request,
    Seen,
    Watch,
    frame,
    replies,
)
from kdns.plugins.debug import default_path
from kdns.wire import question, responses
from kdns.wire.constants import rcode_name, type_name
from kdns.wire.message import Query
from kdns.wire.names import to_text
from kdns.wire.presentation import rdata_text

PATIENCE: Final = 5.0
"""Seconds that the server is given to take a connection, or to answer a request."""


class Exchange(Struct, frozen=True):
    """A question and its answer, in words. ``seconds`` is how long the server took."""

    time: float
    client: str
    port: int
    pod: str
    transport: str
    message_id: int
    name: str
    type: str
    rcode: str
    """``-`` where nothing was sent."""
    data: tuple[str, ...]
    reason: str
    seconds: float
    kept: bool

    @property
    def failed(self) -> bool:
        """Whether the asker got nothing that it can use."""
        return self.rcode != "NOERROR" or not self.data


def add_socket(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--socket",
        default=default_path(),
        metavar="PATH",
        help=f"the server's debug socket (default: {default_path() or 'none here'})",
    )


def count(text: str) -> int:
    """An option's whole number, 1 or more."""
    if not (text.isascii() and text.isdigit() and int(text[:9])):
        raise argparse.ArgumentTypeError(f"a number of 1 or more expected, not {text[:40]!r}")
    return int(text[:9])


def amount(text: str) -> float:
    """An option's number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < inf:
        raise argparse.ArgumentTypeError(f"a number above 0 expected, not {text[:40]!r}")
    return value


class Connection:
    """A connection to the server's debug socket."""

    def __init__(self, path: str) -> None:
        """Raise ``ConfigError`` when no server is there."""
        if not path:
            raise ConfigError("--socket: there is no default here; say the path of the socket")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(PATIENCE)
        try:
            self._socket.connect(path)
        except OSError as error:
            self._socket.close()
            hint = "does the Corefile say debug { socket }, or kdns serve --debug?"
            raise ConfigError(f"no server at {path}: {error.strerror or error}; {hint}") from error

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, request: Request) -> Done:
        """A request's outcome. Raises ``ConfigError`` for what the server does not do."""
        self._socket.sendall(frame(request))
        reply = self._read()
        if not isinstance(reply, Done):
            raise ConfigError("the server ended the connection")
        if reply.problem:
            raise ConfigError(reply.problem)
        return reply

    def batches(self, pause: float | None = None) -> Iterator[Batch | None]:
        """What the server is asked from now on, until it ends; None after each silent ``pause``."""
        self._socket.sendall(frame(Watch()))
        while True:
            if not select.select([self._socket], [], [], pause)[0]:
                yield None
                continue
            reply = self._read()
            if not isinstance(reply, Batch):
                return
            yield reply

    def _read(self) -> Reply | None:
        """A message; None at the end. Raises ``ConfigError`` when it stops in between."""
        try:
            length = self._receive(LENGTH)
            data = self._receive(int.from_bytes(length, "big"))
        except OSError as error:
            raise ConfigError(f"the server does not answer: {error}") from error
        return replies.decode(data) if data else None

    def _receive(self, size: int) -> bytes:
        """So many octets; fewer at the end."""
        data = bytearray()
        while len(data) < size and (part := self._socket.recv(size - len(data))):
            data += part
        return bytes(data)


def exchanges(batch: Batch) -> Iterator[Exchange]:
    """What a batch tells; messages that nobody can read are left out."""
    for seen in batch.seen:
        query = question.parse(seen.request, seen.client, seen.port, seen.transport)
        if isinstance(query, Query):
            yield _exchange(seen, query, batch.pods.get(seen.client, ""))


def _exchange(seen: Seen, query: Query, pod: str) -> Exchange:
    rcode, data, reason = "-", list[str](), seen.reason
    reply = responses.decode(seen.reply) if seen.reply else None
    if isinstance(reply, responses.Response):
        rcode = rcode_name(reply.rcode)
        data = [rdata_text(record.rtype, record.rdata) for record in reply.answer]
        reason = "; ".join(error.text for error in reply.errors if error.text) or reason
        if reply.truncated:
            data.append("truncated")
    return Exchange(
        seen.time,
        seen.client,
        seen.port,
        pod,
        seen.transport,
        query.message_id,
        to_text(query.name),
        type_name(query.qtype),
        rcode,
        tuple(data),
        reason,
        seen.seconds,
        seen.kept,
    )
