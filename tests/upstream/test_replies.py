"""What counts as the reply to a query."""

from __future__ import annotations

from collections.abc import Callable

import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import pytest

from kdns.upstream.replies import NOTIFY, read, reply_to
from kdns.wire.constants import Type
from kdns.wire.message import Query
from kdns.wire.names import from_text, wire_from_text
from kdns.wire.requests import encode_notify, question
from kdns.wire.responses import Response, Unreadable

QUERY = Query(wire_from_text("Www.A.test."), from_text("www.a.test."), Type.A, flags=0x0100)


def reply(name: str = "www.a.test.", rtype: str = "A", rclass: str = "IN") -> dns.message.Message:
    made = dns.message.make_response(dns.message.make_query(name, rtype, rclass))
    made.id = 4711
    return made


def changed(change: Callable[[dns.message.Message], object], **fields: str) -> bytes:
    made = reply(**fields)
    change(made)
    return made.to_wire()


def refused_without_question(message: dns.message.Message) -> None:
    message.question.clear()
    message.set_rcode(dns.rcode.REFUSED)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(reply().to_wire(), True, id="a reply"),
        pytest.param(reply("WWW.a.TEST.").to_wire(), True, id="in other letter case"),
        pytest.param(reply("www.b.test.").to_wire(), False, id="to another name"),
        pytest.param(reply("a.test.").to_wire(), False, id="to a shorter name"),
        pytest.param(reply("x.www.a.test.").to_wire(), False, id="to a longer name"),
        pytest.param(reply(rtype="AAAA").to_wire(), False, id="to another type"),
        pytest.param(reply(rtype="TYPE33").to_wire(), False, id="type 1 is not type 33"),
        pytest.param(reply(rclass="CH").to_wire(), False, id="to another class"),
        pytest.param(
            changed(lambda m: setattr(m, "flags", m.flags & ~dns.flags.QR)), False, id="a query"
        ),
        pytest.param(
            changed(lambda m: m.set_opcode(dns.opcode.NOTIFY)), False, id="with opcode NOTIFY"
        ),
        pytest.param(
            changed(lambda m: m.set_opcode(dns.opcode.UPDATE)), False, id="with opcode UPDATE"
        ),
        pytest.param(changed(refused_without_question), True, id="an error without question"),
        pytest.param(changed(lambda m: m.question.clear()), False, id="no error and no question"),
        pytest.param(
            changed(lambda m: m.question.extend(m.question)), Unreadable, id="two questions"
        ),
        pytest.param(reply().to_wire()[:20], Unreadable, id="cut in the question"),
        pytest.param(reply().to_wire()[:7] + b"\1" + reply().to_wire()[8:], Unreadable, id="cut"),
        pytest.param(reply().to_wire()[:11], False, id="shorter than a header"),
    ],
)
def test_replies(data: bytes, expected: bool | type) -> None:
    found = read(data, question(QUERY))
    kind = expected if isinstance(expected, type) else Response if expected else type(None)
    assert isinstance(found, kind)
    assert isinstance(reply_to(QUERY, 4711, data), kind)
    assert reply_to(QUERY, 4712, data) is None


def test_replies_to_a_notify() -> None:
    query = dns.message.from_wire(encode_notify(QUERY, 4711))
    data = dns.message.make_response(query).to_wire()
    assert isinstance(reply_to(QUERY, 4711, data, NOTIFY), Response)
    assert reply_to(QUERY, 4711, data) is None
