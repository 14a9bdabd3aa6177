"""Changes survive the way to a worker as they are."""

from __future__ import annotations

import socket

import pytest

from kdns.records.objects import (
    Change,
    Endpoint,
    Gone,
    Kind,
    Namespace,
    Pod,
    Port,
    Put,
    Replaced,
    Service,
    Slice,
)
from kdns.server import channel
from kdns.server.channel import Channel, Drain, Message, Status, pack, unpack
from kdns.status import ResourceStatus

WEB = Service("shop", "web", cluster_ips=("10.96.0.7",), ports=(Port("http", "tcp", 80),))
PIECE = Slice("shop", "web-1", "web", (Endpoint(("10.0.0.1",), ready=False, pod="web-0"),))

CHANGES: dict[str, Change] = {
    "put a Service": Put(WEB),
    "put a slice": Put(PIECE),
    "put a Pod": Put(Pod("shop", "web-0", ("10.0.0.1", "fd00::1"), host_network=True)),
    "put a Namespace": Put(Namespace("shop")),
    "gone": Gone(Kind.POD, "shop", "web-0"),
    "replaced": Replaced(Kind.SERVICE, (WEB, Service("shop", "x", external_name="a.example"))),
    "replaced by nothing": Replaced(Kind.SLICE, ()),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_arrives_as_it_was(change: Change) -> None:
    assert unpack(pack(3, change)) == change


async def test_messages_arrive_in_order_until_the_other_side_is_gone() -> None:
    near, far = [await Channel.open(end) for end in _pair()]
    sent: list[Message] = [
        pack(0, Put(WEB)),
        Status(1, "API server", {"services": ResourceStatus(synced=True, lost_at=7.0)}),
        Drain(2.0),
    ]
    assert all(near.send(message) for message in sent)
    await near.drain()
    near.close()
    assert [message async for message in far.messages()] == sent
    assert not near.send(Drain(1.0))
    far.close()


async def test_who_does_not_read_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "MAX_UNREAD", 1 << 20)
    near, far = [await Channel.open(end) for end in _pair()]
    everything = Replaced(Kind.SERVICE, (WEB,) * 1000)
    sent = [near.send(pack(0, everything)) for _ in range(100)]
    assert sent[0]
    assert not sent[-1]
    far.close()


def _pair() -> tuple[socket.socket, socket.socket]:
    ends = socket.socketpair()
    for end in ends:
        end.setblocking(False)
    return ends
