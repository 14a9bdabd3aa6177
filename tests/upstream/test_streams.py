"""How connections to an upstream end when the upstream does not help."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from pathlib import Path

import pytest

from kdns.config.addresses import Address
from kdns.upstream.client import Target
from kdns.upstream.streams import Connections, Limits
from kdns.wire.constants import Type
from kdns.wire.message import Query
from kdns.wire.names import from_text, wire_from_text
from tests.cluster.certificates import Authority

QUERY = Query(wire_from_text("a.test."), from_text("a.test."), Type.A)

PATIENCE = 10.0
"""Seconds, a third of those that asyncio gives a peer to end TLS."""


class Silent:
    """A TLS server that reads the question and from then on only notes what comes, in ``rest``."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.context = context
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.target = Target(Address("127.0.0.1", self.listener.getsockname()[1]), tls=True)
        self.asked = asyncio.Event()
        self.loop = asyncio.get_running_loop()

    def serve(self) -> bytes:
        """The octets after the question, until the end of the connection."""
        with self.listener:
            connection, _ = self.listener.accept()
        connection.settimeout(PATIENCE)
        encrypted = self.context.wrap_socket(connection, server_side=True)
        encrypted.recv(512)
        rest = b""
        with (
            socket.socket(fileno=encrypted.detach()) as plain,
            contextlib.suppress(ConnectionResetError),  # where it had not read all of ours
        ):
            plain.settimeout(PATIENCE)
            self.loop.call_soon_threadsafe(self.asked.set)
            while data := plain.recv(512):
                rest += data
        return rest


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")


async def test_the_end_of_tls_does_not_wait_for_the_upstream(authority: Authority) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.server("upstream"))
    server = Silent(context)
    serving = asyncio.create_task(asyncio.to_thread(server.serve))
    trust = ssl.create_default_context(cafile=authority.certificate)
    connections = Connections(server.target, Limits(), "", trust, lambda _: None)
    question = asyncio.create_task(connections.ask(QUERY))
    await server.asked.wait()
    question.cancel()
    await asyncio.gather(question, return_exceptions=True)
    assert await serving  # close_notify: one encrypted record
