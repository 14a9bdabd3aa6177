"""DNS over TLS over real sockets, on each event loop: handshakes that work, fail, hang and flood."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator

import pytest

from kdns.listeners import tls
from kdns.listeners.tcp import bind
from kdns.listeners.tcp_connection import MAX_PER_TURN
from kdns.listeners.tls import TlsListener
from tests.cluster.certificates import Authority
from tests.fakes.replies import repeats
from tests.listeners.test_tcp import Client, Responder, frame
from tests.waiting import until


class Credentials:
    def __init__(self, context: ssl.SSLContext) -> None:
        self.context = context


class Served:
    def __init__(self, authority: Authority) -> None:
        self.authority, self.responder = authority, Responder()
        self.credentials = Credentials(self.context("localhost"))
        self.listener = TlsListener(repeats(is_stream=True), self.responder, self.credentials)
        self.trust = ssl.create_default_context(cafile=authority.certificate)

    def context(self, name: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.authority.server(name))
        return context

    async def connect(self) -> Client:
        streams = await asyncio.open_connection("localhost", self.listener.port, ssl=self.trust)
        return Client(*streams)

    async def plain(self) -> Client:
        """A connection that makes no handshake."""
        return Client(*await asyncio.open_connection("127.0.0.1", self.listener.port))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls") / "ca")


@contextlib.asynccontextmanager
async def served(authority: Authority) -> AsyncIterator[Served]:
    it = Served(authority)
    await it.listener.start(bind("127.0.0.1", 0))
    try:
        yield it
    finally:
        await it.listener.drain(0)
        await until(lambda: not it.listener.connections)


async def test_questions_and_the_end(authority: Authority) -> None:
    async with served(authority) as it:
        client = await it.connect()
        questions = [b"big %d" % n for n in range(3 * MAX_PER_TURN)]
        assert [reply[:-60000] for reply in await client.ask(*questions)] == questions
        assert it.responder.origins == {("127.0.0.1", "tls")}
        client.send(b"late")
        await until(lambda: b"late" in it.responder.gates)
        draining = asyncio.ensure_future(it.listener.drain(5))
        await asyncio.sleep(0)
        it.responder.gates[b"late"].set()
        assert await client.receive() == [b"re:late"]
        assert await client.is_closed()
        await client.close()
        assert await draining == 0


def test_a_question_in_one_segment_with_the_handshake(authority: Authority) -> None:
    """As a client sends it that does not wait for the server's last words (TLS 1.3)."""

    def ask(port: int, trust: ssl.SSLContext) -> bytes:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        talk = trust.wrap_bio(incoming, outgoing, server_hostname="localhost")
        with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
            while True:
                try:
                    talk.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    sock.sendall(outgoing.read())
                    incoming.write(sock.recv(65536))
            talk.write(frame(b"now"))
            sock.sendall(outgoing.read())
            while True:
                incoming.write(sock.recv(65536))
                with contextlib.suppress(ssl.SSLWantReadError):
                    return talk.read(65536)

    async def run() -> bytes:
        async with served(authority) as it:
            return await asyncio.to_thread(ask, it.listener.port, it.trust)

    assert asyncio.run(run()) == struct.pack("!H", 6) + b"re:now"


async def test_a_new_certificate_is_shown_at_the_next_handshake(authority: Authority) -> None:
    async with served(authority) as it:
        before = await it.connect()
        it.credentials.context = it.context("renewed")
        after = await it.connect()
        names = [
            dict(pair[0] for pair in client.writer.get_extra_info("peercert")["subject"])
            for client in (before, after)
        ]
        assert [name["commonName"] for name in names] == ["localhost", "renewed"]
        for client in (before, after):
            assert await client.ask(b"x") == [b"re:x"]
            await client.close()


async def test_who_speaks_no_tls_is_cut_off(authority: Authority) -> None:
    async with served(authority) as it:
        client = await it.plain()
        client.send(b"plain DNS")
        assert await client.reader.read(100) in {b"", b"\x15\x03\x01\x00\x02\x02F"}  # an alert
        await until(lambda: it.listener.ended["handshake"] == 1)
        await client.close()
        assert not it.listener.handshakes
        assert not it.responder.seen


async def test_who_is_silent_is_cut_off(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "HANDSHAKE", 0.05)
    async with served(authority) as it:
        client = await it.plain()
        assert await client.is_closed()
        await until(lambda: it.listener.ended["handshake"] == 1)
        await client.close()


async def test_silent_ones_do_not_keep_others_out(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "MAX_HANDSHAKES", 3)
    async with served(authority) as it:
        silent = [await it.plain() for _ in range(8)]
        await until(lambda: it.listener.ended["evicted"] == 5)
        assert len(it.listener.handshakes) == 3
        client = await it.connect()
        assert await client.ask(b"x") == [b"re:x"]
        for one in (client, *silent):
            await one.close()


async def test_the_end_waits_for_no_handshake(authority: Authority) -> None:
    async with served(authority) as it:
        client = await it.plain()
        await until(lambda: len(it.listener.handshakes) == 1)
        async with asyncio.timeout(30):
            await it.listener.drain(300)
        assert await client.is_closed()
        await client.close()


async def test_gone_in_the_middle(authority: Authority) -> None:
    async with served(authority) as it:
        client = await it.plain()
        client.writer.write(b"\x16\x03\x01\x02\x00\x01\x00")
        await client.writer.drain()
        client.writer.close()
        await until(lambda: it.listener.ended["handshake"] == 1)
        assert not it.listener.handshakes
