"""Batches of datagrams: replies leave from the address queried, and it is known how long each has waited."""

from __future__ import annotations

import ctypes
import select
import socket
import sys
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from struct import pack
from typing import Final, TypeAlias

import pytest

from kdns.listeners import control_data
from kdns.listeners.batch import ROOM, SIZE, Batch
from kdns.listeners.binding import RECEIVE_BUFFER, bound
from kdns.listeners.control_data import Columns, ControlBuffers
from kdns.listeners.one_by_one import OneByOne
from tests.listeners.namespace import inside

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the system has no recvmmsg")

Way: TypeAlias = Callable[[socket.socket], Batch | OneByOne]

WAYS: Final = [Batch, OneByOne]


def control_message(level: int, kind: int, data: bytes) -> bytes:
    """``struct cmsghdr`` and its data, padded."""
    length = socket.CMSG_LEN(len(data))
    return (pack("@Nii", length, level, kind) + data).ljust(socket.CMSG_SPACE(len(data)), b"\0")


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def listening(host: str) -> socket.socket:
    return bound(socket.SOCK_DGRAM, host, 0, [(socket.SO_RCVBUF, RECEIVE_BUFFER)])


def dual() -> socket.socket:
    """For IPv6 and, by mapped addresses, IPv4."""
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    control_data.request(sock, "::")
    sock.setblocking(False)
    sock.bind(("::", 0))
    return sock


def client(server: socket.socket, queried: str, source: str = "") -> socket.socket:
    """A socket that takes datagrams from the address queried alone."""
    (family, kind, *_, address), *_ = socket.getaddrinfo(
        queried, server.getsockname()[1], type=socket.SOCK_DGRAM
    )
    sock = socket.socket(family, kind)
    if source:
        sock.bind(socket.getaddrinfo(source, 0, type=socket.SOCK_DGRAM)[0][4])
    sock.connect(address)
    sock.settimeout(30)
    return sock


def batches(server: socket.socket, taken: Batch | OneByOne, count: int) -> Iterator[list[bytes]]:
    """What is received until there are as many datagrams: one batch, or more on a busy machine."""
    while count > 0:
        assert select.select([server], [], [], 30)[0], "nothing arrived"
        requests = taken.receive()
        count -= len(requests)
        yield requests


CASES: Final = [
    ("127.0.0.1", "127.0.0.1", "127.0.0.1"),
    ("127.0.0.2", "127.0.0.2", "127.0.0.2"),
    ("0.0.0.0", "127.0.0.1", "127.0.0.1"),
    ("0.0.0.0", "127.0.0.2", "127.0.0.2"),
    ("::1", "::1", "::1"),
    ("::", "::1", "::1"),
    ("dual", "::1", "::1"),
    ("dual", "127.0.0.1", "::ffff:127.0.0.1"),
    ("dual", "127.0.0.2", "::ffff:127.0.0.2"),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("host", "queried", "destination"), CASES)
def test_replies_leave_from_the_address_queried(
    opened: ExitStack, way: Way, host: str, queried: str, destination: str
) -> None:
    server = opened.enter_context(dual() if host == "dual" else listening(host))
    querying = opened.enter_context(client(server, queried))
    answers_from(server, way(server), querying, destination)


def answers_from(
    server: socket.socket, taken: Batch | OneByOne, querying: socket.socket, destination: str
) -> None:
    """Each kind of reply reaches a client that takes it from the address queried alone."""
    for turn in range(2):
        querying.send(b"\1\2question")
        assert list(batches(server, taken, 1)) == [[b"question"]]
        assert taken.destination(0) == destination
        if turn:
            assert taken.put(0, b"\1\2reply")
            assert taken.send(1) == 0
            assert querying.recv(SIZE) == b"\1\2reply"
        taken.path(0).send(server, b"x" * (SIZE + 1))
        assert querying.recv(2 * SIZE) == b"x" * (SIZE + 1)


@pytest.mark.parametrize("way", WAYS)
def test_one_batch_of_many_clients(opened: ExitStack, way: Way) -> None:
    server = opened.enter_context(listening("0.0.0.0"))
    taken = way(server)
    clients = [opened.enter_context(client(server, f"127.0.0.{at}")) for at in range(1, ROOM + 1)]
    for turn in range(3):
        asking = clients[turn::2]  # other clients in other places each time
        for each in asking:
            each.send(b"\1\2" + each.getpeername()[0].encode())
        for requests in batches(server, taken, len(asking)):
            for at, request in enumerate(requests):
                assert taken.destination(at).encode() == request
                taken.put(at, b"\1\2" + request)
            assert taken.send(len(requests)) == 0
        for each in asking:
            assert each.recv(SIZE)[2:].decode() == each.getpeername()[0]


@pytest.mark.parametrize("way", WAYS)
def test_a_later_reply_goes_back_the_way_its_query_came(opened: ExitStack, way: Way) -> None:
    server = opened.enter_context(listening("0.0.0.0"))
    taken = way(server)
    first = opened.enter_context(client(server, "127.0.0.2"))
    second = opened.enter_context(client(server, "127.0.0.3"))
    first.send(b"first")
    assert list(batches(server, taken, 1)) == [[b"rst"]]
    path = taken.path(0)
    second.send(b"second")
    assert list(batches(server, taken, 1)) == [[b"cond"]]
    path.send(server, b"late")
    assert first.recv(SIZE) == b"late"
    assert (path.local, path.client) == ("127.0.0.2", first.getsockname())


ADDRESSES: Final = """
    192.0.2.1/24 veth0
    192.0.2.2/24 veth0
    198.51.100.1/32 lo
    2001:db8::1/64 veth0
    2001:db8::2/64 veth0
    fe80::53/64 veth0
    fe80::54/64 veth1
    fe80::53/64 veth1
"""


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("host", "queried", "source"),
    [
        ("0.0.0.0", "192.0.2.1", "192.0.2.2"),
        ("0.0.0.0", "192.0.2.2", "192.0.2.1"),
        ("0.0.0.0", "198.51.100.1", "192.0.2.1"),
        ("0.0.0.0", "192.0.2.2", "198.51.100.1"),
        ("::", "2001:db8::1", "2001:db8::2"),
        ("::", "2001:db8::2", "2001:db8::1"),
        ("::", "fe80::53%veth0", "fe80::53%veth0"),
        ("::", "fe80::53%veth1", "fe80::54%veth1"),
        ("::", "fe80::53%veth0", "2001:db8::1"),
        ("dual", "192.0.2.2", "192.0.2.1"),
        ("dual", "fe80::54%veth1", "fe80::53%veth1"),
    ],
)
def test_secondary_and_link_local_addresses(
    opened: ExitStack, way: Way, host: str, queried: str, source: str
) -> None:
    def sockets() -> tuple[socket.socket, socket.socket]:
        server = dual() if host == "dual" else listening(host)
        return server, client(server, queried, source)

    server, querying = inside(ADDRESSES, sockets)
    opened.enter_context(server)
    opened.enter_context(querying)
    mapped = "::ffff:" if host == "dual" and ":" not in queried else ""
    answers_from(server, way(server), querying, mapped + queried.partition("%")[0])


def test_link_local_and_other_addresses_in_one_batch(opened: ExitStack) -> None:
    def sockets() -> tuple[socket.socket, list[socket.socket]]:
        server = listening("::")
        targets = ("2001:db8::2", "fe80::53%veth0", "2001:db8::1", "fe80::53%veth1")
        return server, [client(server, target) for target in targets]

    server, clients = inside(ADDRESSES, sockets)
    for sock in (server, *clients):
        opened.enter_context(sock)
    taken = Batch(server)
    for turn in range(2):
        for each in clients:
            each.send(b"\1\2%d" % turn)
        for requests in batches(server, taken, 4):
            for at in range(len(requests)):
                taken.put(at, b"\1\2reply")
            assert taken.send(len(requests)) == 0
        assert [each.recv(SIZE) for each in clients] == [b"\1\2reply"] * 4


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::1", "::"])
def test_age(opened: ExitStack, way: Way, host: str) -> None:
    server = opened.enter_context(listening(host))
    querying = opened.enter_context(client(server, "::1" if ":" in host else "127.0.0.1"))
    taken = way(server)
    for _ in range(2):
        before = time.time()
        querying.send(b"first")
        querying.send(b"second")
        ages = list[float]()
        for requests in batches(server, taken, 2):
            now = time.time()
            for at in range(len(requests)):
                age = taken.age(at, now)
                assert 0 <= age <= now - before + 0.001
                assert taken.age(at, now + 5) == pytest.approx(age + 5)
                ages.append(age - now)
        assert ages[0] >= ages[1] - 1e-6, "a float has no nanoseconds of so many seconds"


@pytest.mark.parametrize("way", WAYS)
def test_a_system_that_says_nothing(
    opened: ExitStack, way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sandbox may refuse the options: replies leave from where the system sends them."""
    monkeypatch.setattr(control_data, "_SO_TIMESTAMPNS", 9999)
    server = opened.enter_context(listening("0.0.0.0"))
    querying = opened.enter_context(client(server, "127.0.0.1"))
    taken = way(server)
    answers_from(server, taken, querying, "0.0.0.0")
    assert taken.age(0, time.time()) == 0


STAMP = control_message(socket.SOL_SOCKET, 35, pack("@ll", 1000, 500_000_000))
OTHER = control_message(socket.SOL_SOCKET, 29, bytes(16))


def info(last: int, interface: int = 7) -> bytes:
    """``IP_PKTINFO`` of a datagram to 127.0.0.x by an interface."""
    address = bytes((127, 0, 0, last))
    return control_message(socket.IPPROTO_IP, 8, pack("@i", interface) + address + address)


class Kernel:
    """Writes control data where headers point to, and reads there what is to be sent."""

    def __init__(self, sock: socket.socket) -> None:
        self.received, self.replies = (
            Columns(*(memoryview(array("L", [0] * ROOM)) for _ in range(2))) for _ in range(2)
        )
        self.buffers = ControlBuffers(sock, self.received, self.replies)

    def deliver(self, *datagrams: bytes) -> None:
        for at, control in enumerate(datagrams):
            size = self.received.lengths[at] = min(len(control), self.received.lengths[at])
            ctypes.memmove(self.received.pointers[at], control, size)
        self.buffers.take(len(datagrams))

    def sent(self, at: int) -> bytes:
        pointer, length = self.replies.pointers[at], self.replies.lengths[at]
        return ctypes.string_at(pointer, length) if pointer else b""

    def check(self, datagrams: list[bytes]) -> None:
        """Each reply's control data are those of its datagram."""
        for at, control in enumerate(datagrams):
            whole = control[:64]
            destination = next((n for n in (1, 2) if info(n) in whole), 0)
            expected = info(destination, interface=0)[:28] if destination else b""
            assert self.sent(at) == expected
            assert self.buffers.received_at(at) == (1000.5 if STAMP in whole else 0)
            data = [data for *_, data in self.buffers.returned(at)]
            assert data == ([expected[16:]] if destination else [])


MISSING: Final = [
    ("as ever", [STAMP + info(1), STAMP + info(2)]),
    ("no time", [info(1), info(2)]),
    ("no destination", [STAMP, STAMP]),
    ("nothing", [b"", b""]),
    ("nothing with the first", [b"", STAMP + info(2)]),
    ("nothing with the second", [STAMP + info(2), b""]),
]
CONTROL: Final = [
    *MISSING,
    ("the other order", [info(1) + STAMP, info(2) + STAMP]),
    ("both orders", [info(1) + STAMP, STAMP + info(2)]),
    ("another message in a time's place", [OTHER + info(1), STAMP + info(2)]),
    ("no room for the destination", [OTHER + STAMP + info(1)]),
    ("a length of nonsense", [b"\xff" * 64, STAMP + info(2)]),
]


@pytest.mark.parametrize(
    "control", [each for _, each in CONTROL], ids=[name for name, _ in CONTROL]
)
def test_any_control_data(opened: ExitStack, control: list[bytes]) -> None:
    kernel = Kernel(opened.enter_context(listening("0.0.0.0")))
    for _ in range(3):
        kernel.deliver(*control)
        kernel.check(control)


@pytest.mark.parametrize(
    "control", [each for _, each in MISSING], ids=[name for name, _ in MISSING]
)
def test_control_data_that_is_missing_at_times(opened: ExitStack, control: list[bytes]) -> None:
    """A reply takes its own datagram's destination, or else none: not that of an earlier one."""
    kernel = Kernel(opened.enter_context(listening("0.0.0.0")))
    usual = [STAMP + info(2), STAMP + info(1), STAMP + info(2)]
    for datagrams in (usual, usual, control, usual, control, control, usual):
        kernel.deliver(*datagrams)
        kernel.check(datagrams)
