"""The C programs of the bench: the load beside a server that we control, the upstream by dnspython."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dns.flags
import dns.message
import dns.query
import dns.rcode
import pytest
from dns.message import Message

from bench import load, packets, servers
from bench.load import Load, LoadResult
from bench.servers import Server

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler (cc)")

SELF = "127.0.0.1"
NAMES = [f"name-{at}.test" for at in range(100)]
Answer = Callable[[bytes, int], bytes | None]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("programs")


@contextmanager
def server(answer: Answer) -> Iterator[tuple[int, list[bytes]]]:
    """A server on a free port, with the queries that it has received."""
    received: list[bytes] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.bind((SELF, 0))

        def serve() -> None:
            while data := own.recvfrom(4096):
                if data[0] == b"end":
                    return
                received.append(data[0])
                if (reply := answer(data[0], len(received))) is not None:
                    own.sendto(reply, data[1])

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield own.getsockname()[1], received
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.sendto(b"end", own.getsockname())
            thread.join(10)


def nxdomain(query: bytes, number: int) -> bytes:
    return query[:2] + b"\x81\x83" + query[4:]


def run(folder: Path, answer: Answer, **options: float) -> tuple[LoadResult, list[bytes]]:
    messages = [packets.message(packets.wire(name), packets.A) for name in NAMES]
    path = packets.write(folder / "messages", messages)
    with server(answer) as (port, received):
        sent = Load(path, **{"seconds": 20, "timeout": 0.3, **options})  # type: ignore[arg-type]
        return load.run(sent, port, folder), received


def test_each_message_is_sent_once_and_counted(folder: Path) -> None:
    result, received = run(folder, nxdomain, once=True)
    assert (result.sent, result.answered, result.lost) == (100, 100, 0)
    assert result.rcodes == {"NXDOMAIN": 100}
    names = {dns.message.from_wire(each).question[0].name.to_text() for each in received}
    assert names == {f"{name}." for name in NAMES}
    assert 0 <= result.p50 <= result.p99
    assert result.p99 < result.longest + 20, "quantiles are rounded to 10 microseconds"


def test_queries_without_a_reply_are_lost(folder: Path) -> None:
    result, _ = run(folder, lambda q, n: None if n % 4 == 0 else nxdomain(q, n), once=True)
    assert (result.answered, result.lost) == (75, 25)
    assert result.lost_share == 25


@pytest.mark.parametrize(
    "reply",
    [
        lambda query, number: query[:2] + b"\x01\x00" + query[4:],
        lambda query, number: bytes([query[0] ^ 0x80, query[1]]) + b"\x81\x80" + query[4:],
        lambda query, number: query[:5],
    ],
    ids=["not a reply", "another ID", "too short"],
)
def test_what_is_no_reply_to_the_query_does_not_count(folder: Path, reply: Answer) -> None:
    result, _ = run(folder, reply, once=True)
    assert (result.answered, result.lost) == (0, 100)


def test_the_window_bounds_the_queries_that_wait(folder: Path) -> None:
    result, _ = run(folder, lambda q, n: None, seconds=0.1, sockets=3, window=5)
    assert (result.sent, result.lost) == (15, 15)


def test_a_rate_does_not_wait_for_replies(folder: Path) -> None:
    result, _ = run(folder, lambda q, n: None, seconds=0.5, rate=400, sockets=1, window=1)
    assert 100 < result.sent <= 201
    assert result.lost == result.sent


def test_a_file_that_has_no_messages_is_refused(folder: Path) -> None:
    (folder / "broken").write_bytes(b"\x00\xffabc")
    with pytest.raises(subprocess.CalledProcessError):
        load.run(Load(folder / "broken", 1), 1, folder)


# ---- the upstream


@pytest.fixture(scope="module")
def upstream(folder: Path) -> Iterator[Server]:
    running = servers.upstream(folder)
    yield running
    running.stop()


def ask(server: Server, name: str, rtype: str, **options: int) -> Message:
    query = dns.message.make_query(name, rtype, **options)  # type: ignore[arg-type]
    return dns.query.udp(query, SELF, port=server.port, timeout=10)


@pytest.mark.parametrize("edns", [{}, {"use_edns": 0, "payload": 1232}], ids=["", "EDNS"])
@pytest.mark.parametrize(
    ("name", "rtype", "rcode", "answers"),
    [
        ("host.test", "A", "NOERROR", ["192.0.2.1"]),
        ("host.test", "AAAA", "NOERROR", []),
        ("NXhost.test", "A", "NXDOMAIN", []),
        (".", "NS", "NOERROR", []),
    ],
)
def test_the_upstream_knows_every_name(
    upstream: Server, name: str, rtype: str, rcode: str, answers: list[str], edns: dict[str, int]
) -> None:
    reply = ask(upstream, name, rtype, **edns)
    assert dns.rcode.to_text(reply.rcode()) == rcode
    assert [item.to_text() for rrset in reply.answer for item in rrset] == answers
    assert bool(reply.authority) is not bool(answers), "a negative answer has an SOA"
    assert reply.edns == (0 if edns else -1)


def test_its_large_answers_need_tcp(upstream: Server) -> None:
    assert ask(upstream, "big.test", "TXT").flags & dns.flags.TC
    assert ask(upstream, "big.test", "TXT", use_edns=0, payload=1232).flags & dns.flags.TC
    query = dns.message.make_query("big.test", "TXT")
    reply = dns.query.tcp(query, SELF, port=upstream.port, timeout=10)
    assert len(b"".join(reply.answer[0][0].strings)) == 12 * 249
    assert len(reply.to_wire()) > 3000


def test_a_silent_upstream_replies_to_nothing(folder: Path) -> None:
    silent = servers.upstream(folder, silent=True)
    try:
        messages = [packets.message(packets.wire("host.test"), packets.A)]
        path = packets.write(folder / "silent", messages)
        result = load.run(Load(path, 5, once=True, timeout=0.5), silent.port, folder)
        assert (result.answered, result.lost) == (0, 1)
        assert silent.process.running
    finally:
        silent.stop()
