"""What lies below the answers: sizes, TCP, several questions at a time."""

from __future__ import annotations

from typing import Final

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import pytest

from tests.conformance.cases import Case
from tests.conformance.client import Stream, ask, question
from tests.conformance.conftest import Stage
from tests.conformance.subjects import SUBJECT

ENDPOINTS: Final = 90  # 1,440 octets of A records: more than EDNS's 1,232 and much more than 512


def _objects() -> list[dict[str, object]]:
    def service(name: str, **spec: object) -> dict[str, object]:
        return {"kind": "Service", "metadata": {"name": name, "namespace": "shop"}, "spec": spec}

    port = {"name": "http", "port": 80, "protocol": "TCP"}
    label = {"kubernetes.io/service-name": "big"}
    return [
        service("web", clusterIP="10.96.1.1", ports=[port]),
        service("big", clusterIP="None", ports=[port]),
        {
            "kind": "EndpointSlice",
            "metadata": {"name": "big-1", "namespace": "shop", "labels": label},
            "addressType": "IPv4",
            "ports": [port],
            "endpoints": [{"addresses": [f"10.244.9.{n}"]} for n in range(1, ENDPOINTS + 1)],
        },
    ]


CASE: Final = Case("transport", [], _objects(), plugins="loadbalance")


@pytest.fixture
def port(stage: Stage) -> int:
    return stage.serve(CASE).port


@pytest.mark.parametrize("size", [512, 600, 1232], ids=lambda size: f"EDNS-{size}")
@pytest.mark.parametrize("text", ["big.shop.svc A", "_http._tcp.big.shop.svc SRV"])
def test_a_large_answer_is_cut_to_the_clients_size(port: int, text: str, size: int) -> None:
    """RFC 2181 section 9: TC is set when a required part did not fit, and TCP then has it all."""
    query = question(text, 0, size)
    reply = ask(port, query)
    assert reply.flags & dns.flags.TC
    assert len(reply.to_wire()) <= size
    assert reply.edns == 0
    assert len(ask(port, query, tcp=True).answer) == ENDPOINTS


def test_without_edns_the_limit_is_512(port: int) -> None:
    """RFC 1035 section 4.2.1."""
    reply = ask(port, question("big.shop.svc A"))
    assert reply.flags & dns.flags.TC
    assert len(reply.to_wire()) <= 512
    assert reply.edns == -1


def test_a_size_below_512_counts_as_512(port: int) -> None:
    """RFC 6891 section 6.2.3."""
    reply = ask(port, question("_http._tcp.web.shop.svc SRV", 0, 100))
    assert not reply.flags & dns.flags.TC
    assert reply.answer


@pytest.mark.parametrize("size", [1233, 4096, 65535])
def test_no_datagram_is_larger_than_what_arrives_unfragmented(port: int, size: int) -> None:
    """DNS flag day 2020; CoreDNS sends what the client accepts."""
    query = question("big.shop.svc A", 0, size)
    reply = ask(port, query)
    if SUBJECT == "coredns":
        assert (reply.payload, len(reply.to_wire()) <= size) == (size, True)
    else:
        assert reply.flags & dns.flags.TC
        assert 1232 - 16 < len(reply.to_wire()) <= 1232
        assert reply.payload == 1232
    assert len(ask(port, query, tcp=True).answer) == ENDPOINTS


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
def test_addresses_take_turns(port: int, tcp: bool) -> None:
    """``loadbalance``: the first address differs from time to time, the set only where not all fit."""
    replies = [ask(port, question("big.shop.svc A", 0, 1232), tcp) for _ in range(12)]
    assert len({str(reply.answer[0]) for reply in replies}) > 1
    if not tcp:
        return
    assert len({tuple(sorted(map(str, reply.answer))) for reply in replies}) == 1


def test_several_questions_in_one_connection_are_all_answered(port: int) -> None:
    """RFC 7766 section 6.2.1.1: pipelining; replies may come in any order, told apart by their ID."""
    queries = [question(f"{name}.shop.svc A") for name in ("web", "big", "nope", "web", "big")]
    with Stream(port) as stream:
        stream.send(*(query.to_wire() for query in queries))
        replies = [dns.message.from_wire(stream.receive() or b"") for _ in queries]
    rcodes = {reply.id: reply.rcode() for reply in replies}
    nxdomain, fine = dns.rcode.NXDOMAIN, dns.rcode.NOERROR
    assert rcodes == {q.id: nxdomain if n == 2 else fine for n, q in enumerate(queries)}


def test_a_connection_is_kept_for_the_next_question(port: int) -> None:
    """RFC 7766 section 6.2.1: connection reuse."""
    with Stream(port) as stream:
        for _ in range(3):
            query = question("web.shop.svc A")
            stream.send(query.to_wire())
            assert query.is_response(dns.message.from_wire(stream.receive() or b""))


def test_a_question_may_come_in_pieces(port: int) -> None:
    """RFC 7766 section 8: two octets of length, then the message, in whatever segments."""
    wire = question("web.shop.svc A").to_wire()
    with Stream(port) as stream:
        for octet in len(wire).to_bytes(2) + wire:
            stream.sock.sendall(bytes([octet]))
        assert dns.message.from_wire(stream.receive() or b"").answer


@pytest.mark.parametrize("data", [b"\0\0", b"\0\x03abc", b"\xff\xff" + b"\0" * 65535])
def test_garbage_on_one_connection_harms_no_other(port: int, data: bytes) -> None:
    with Stream(port) as stream, Stream(port) as other:
        stream.sock.sendall(data)
        query = question("web.shop.svc A")
        other.send(query.to_wire())
        assert query.is_response(dns.message.from_wire(other.receive() or b""))


@pytest.mark.skipif(SUBJECT != "kdns", reason="CoreDNS has no cookies")
def test_a_cookie_is_returned_and_recognised(port: int) -> None:
    """RFC 7873 section 5.2: the client's eight octets come back with eight to 32 of the server's."""
    client = bytes(range(8))
    query = question("web.shop.svc A", 0)
    query.use_edns(0, options=[dns.edns.GenericOption(dns.edns.OptionType.COOKIE, client)])
    first = ask(port, query).options[0].to_wire()
    assert first is not None
    assert first[:8] == client
    assert 16 <= len(first) <= 40
    query.use_edns(0, options=[dns.edns.GenericOption(dns.edns.OptionType.COOKIE, first)])
    assert ask(port, query).options[0].to_wire() == first


def test_the_reply_repeats_the_id_and_question(port: int) -> None:
    query = question("WeB.shop.svc A")
    reply = ask(port, query)
    assert query.is_response(reply)
    assert reply.question[0].name.to_text() == "WeB.shop.svc.cluster.local."  # dns0x20
    assert bool(reply.flags & dns.flags.RD)
