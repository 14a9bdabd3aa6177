"""What is said of a connection that fails."""

from __future__ import annotations

import errno
import socket
import ssl
from socket import gaierror
from typing import Any

import aiohttp
import pytest

from kdns.sources.exchange import Connector, _transports, system_words
from tests.fakes.apiserver import FakeApi

CERTIFICATE = "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (gaierror(-2, "Name or service not known"), "Name or service not known"),
        (
            OSError(errno.ECONNRESET, "Connect call failed ('10.0.0.1', 6443)"),
            "Connection reset by peer",
        ),
        (ssl.SSLCertVerificationError(1, CERTIFICATE), CERTIFICATE),
        (OSError("Multiple exceptions: one, two"), "Multiple exceptions: one, two"),
    ],
)
def test_the_system_s_words(error: OSError, expected: str) -> None:
    assert system_words(error) == expected


async def test_a_connection_that_is_dead_on_the_way_is_noticed_within_30_seconds() -> None:
    """By the kernel: there is no way here to swallow packets, so what it was told is looked at."""
    made: list[tuple[int, int, int, int]] = []

    class Watched(Connector):
        async def connect(self, *request: Any, **settings: Any) -> aiohttp.connector.Connection:
            connection = await super().connect(*request, **settings)
            assert connection.transport is not None
            sock = connection.transport.get_extra_info("socket")
            options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
            values = [sock.getsockopt(socket.IPPROTO_TCP, option) for option in options]
            made.append((sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), *values))
            return connection

    async with FakeApi().run() as api, aiohttp.ClientSession(connector=Watched()) as session:
        _transports.set([])
        async with session.get(f"{api.url}/livez") as reply:
            assert reply.status == 200
    [(on, idle, interval, count)] = made
    assert on
    assert idle + interval * count <= 30
