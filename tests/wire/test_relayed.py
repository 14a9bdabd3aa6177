"""Records of another server's reply that are sent on as the octets that came."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from msgspec.structs import replace

from kdns.wire import encode as encoding
from kdns.wire.constants import Type
from kdns.wire.encode import encode
from kdns.wire.message import Answer, Edns, Query, Record
from kdns.wire.names import from_wire
from kdns.wire.relayed import Relayed, Section, echoed, message_of, spliced, with_message
from kdns.wire.responses import Response, decode

SOA = "example.org. 300 IN SOA ns.example.org. root.example.org. 1 2 3 4 60"
ADDRESSES = tuple(f"www.example.org. 300 IN A 192.0.2.{last}" for last in range(1, 5))
CHAIN = ("www.example.org. 60 IN CNAME a.example.net.", "a.example.net. 30 IN A 192.0.2.1")


def rrset(text: str) -> dns.rrset.RRset:
    name, ttl, rdclass, rdtype, data = text.split(None, 4)
    return dns.rrset.from_text(name, int(ttl), rdclass, rdtype, data)


def reply(
    *answer: str,
    authority: tuple[str, ...] = (),
    additional: tuple[str, ...] = (),
    question: str = "www.example.org. A",
) -> dns.message.Message:
    name, qtype = question.split()
    made = dns.message.make_response(dns.message.make_query(name, qtype, use_edns=0))
    made.use_edns(0, 0, 1232)
    for section, texts in (
        (made.answer, answer),
        (made.authority, authority),
        (made.additional, additional),
    ):
        section.extend(map(rrset, texts))
    return dns.message.from_wire(made.to_wire())


def asked(qname: bytes = b"\3wWw\7example\3org\0", qtype: int = Type.A, size: int = 1232) -> Query:
    return Query(qname, from_wire(qname), qtype, edns=Edns(size))


def answer_of(message: dns.message.Message) -> Answer:
    assert message.wire is not None
    response = decode(message.wire)  # dnspython shuffles records each time that it writes them
    assert isinstance(response, Response)
    return Answer(response.rcode, response.answer, response.authority, response.additional)


def relayed(message: dns.message.Message) -> Relayed:
    found = message_of(answer_of(message))
    assert found is not None
    return found


def sent(query: Query, answer: Answer) -> dns.message.Message:
    return dns.message.from_wire(b"\0\0" + encoding.reply(query, encode(query, answer)))


def tuples(answer: Answer) -> Answer:
    return replace(
        answer,
        answer=tuple(answer.answer),
        authority=tuple(answer.authority),
        additional=tuple(answer.additional),
    )


MESSAGES = {
    "address": reply(ADDRESSES[0]),
    "addresses": reply(*ADDRESSES),
    "aliases": reply(*CHAIN),
    "no data": reply(authority=(SOA,)),
    "all sections": reply(
        "www.example.org. 5 IN MX 1 mail.example.org.",
        authority=("example.org. 5 IN NS ns.example.org.",),
        additional=("mail.example.org. 6 IN A 192.0.2.1", "ns.example.org. 7 IN A 192.0.2.2"),
    ),
    "glue": reply(additional=("ns.example.org. 7 IN A 192.0.2.2",)),
}


@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES)
class TestMessages:
    def test_the_octets_are_sent_on(self, message: dns.message.Message) -> None:
        """In the letter case of this client, with the OPT record of this server."""
        query, answer = asked(), answer_of(message)
        assert spliced(query, answer) is message_of(answer)
        again = sent(query, answer)
        assert again.question[0].name.to_text() == "wWw.example.org."
        for number in (1, 2, 3):
            assert again.sections[number] == message.sections[number]
        assert again.payload == 1232
        assert relayed(message).body == encode(query, answer).sections

    def test_records_are_the_same(self, message: dns.message.Message) -> None:
        """And so is what the general way makes of them."""
        answer = answer_of(message)
        records = tuples(answer)
        assert answer == records
        assert message_of(records) is None
        query = asked(b"\3www\7example\3org\0")
        assert sent(query, records).to_text() == sent(query, answer).to_text()

    def test_ttls_are_changed_in_place(self, message: dns.message.Message) -> None:
        answer, found = answer_of(message), relayed(message)
        records = (*answer.answer, *answer.authority, *answer.additional)
        ttls = [record.ttl for record in records]
        assert (found.least, found.most) == (min(ttls), max(ttls))
        for changed, expected in (
            (found.aged(6), [max(ttl - 6, 0) for ttl in ttls]),
            (found.bounded(10, 40), [min(max(ttl, 10), 40) for ttl in ttls]),
            (found.with_ttl(7), [7] * len(ttls)),
        ):
            new = with_message(answer, changed)
            now = (*new.answer, *new.authority, *new.additional)
            assert [record.ttl for record in now] == expected
            assert [replace(record, ttl=0) for record in now] == [
                replace(record, ttl=0) for record in records
            ]
            assert (changed.least, changed.most) == (min(expected), max(expected))

    def test_a_changed_section_is_no_message(self, message: dns.message.Message) -> None:
        answer = answer_of(message)
        for field in ("answer", "authority", "additional"):
            section = getattr(answer, field)
            other = () if section else (Record(b"\0", Type.A, 1, bytes(4)),)
            assert message_of(replace(answer, **{field: other})) is None
            assert message_of(replace(answer, **{field: tuple(section)})) is None or not section
            foreign = getattr(answer_of(message), field)
            alone = sum(map(bool, (answer.answer, answer.authority, answer.additional))) == 1
            assert message_of(replace(answer, **{field: foreign})) is None or not section or alone


def test_sections_in_other_places_are_no_message() -> None:
    answer = answer_of(reply(ADDRESSES[0], additional=("ns.example.org. 7 IN A 192.0.2.2",)))
    swapped = replace(answer, answer=answer.additional, additional=answer.answer)
    assert message_of(swapped) is None


@pytest.mark.parametrize(
    "query",
    [
        pytest.param(asked(b"\3wwx\7example\3org\0"), id="name"),
        pytest.param(asked(b"\4wwww\7example\3org\0"), id="longer name"),
        pytest.param(asked(qtype=Type.AAAA), id="type"),
        pytest.param(asked(qtype=ord("a") << 8 | 1), id="type that differs in letter case"),
    ],
)
def test_the_octets_are_for_one_question(query: Query) -> None:
    answer = answer_of(reply(ADDRESSES[0], question="www.example.org. TYPE16641"))
    assert spliced(asked(qtype=ord("A") << 8 | 1), answer) is not None
    assert spliced(query, answer) is None
    assert sent(query, answer).answer[0].name.to_text() == "www.example.org."


@pytest.mark.parametrize("size", range(512, 1300, 37))
def test_what_does_not_fit_is_cut(size: int) -> None:
    """As in the general way."""
    texts = [f"www.example.org. 5 IN TXT {'x' * 100}{at}" for at in range(5)]
    glue = [f"ns.example.org. 5 IN A 192.0.2.{at}" for at in range(9)]
    message = reply(*texts[:4], authority=(SOA, texts[4]), additional=tuple(glue))
    answer = answer_of(message)
    query = asked(b"\3www\7example\3org\0", size=size)
    cut = encoding.reply(query, encode(query, answer))
    assert len(cut) + 2 <= size
    assert cut == encoding.reply(query, encode(query, tuples(answer)))
    whole = sent(replace(query, transport="tcp"), answer)
    assert not whole.flags & dns.flags.TC
    assert whole.additional == message.additional


@pytest.mark.parametrize(
    ("message", "count"),
    [
        (reply(*ADDRESSES), 4),
        (reply(*ADDRESSES[:2]), 2),
        (reply(ADDRESSES[0]), 0),
        (reply(CHAIN[0], *(f"a.example.net. 5 IN A 192.0.2.{at}" for at in range(3))), 3),
        (reply(*CHAIN), 0),
        (reply("www.example.org. 5 IN AAAA ::1", ADDRESSES[0]), 0),
        (reply(*(f"www.example.org. 5 IN AAAA ::{at}" for at in range(1, 4))), 3),
        (reply("a. 5 IN A 192.0.2.1", "b. 5 IN A 192.0.2.2"), 0),
        (reply(*(f"www.example.net. 5 IN A 192.0.2.{at}" for at in range(1, 4))), 2),
        (reply("www.example.org. 5 IN TXT x", *ADDRESSES), 4),
        (reply(authority=(SOA,)), 0),
    ],
)
def test_addresses_can_change_places(message: dns.message.Message, count: int) -> None:
    answer, query = answer_of(message), asked()
    run = relayed(message).addresses()
    assert (run.count if run else 0) == count
    encoded = encode(query, answer)
    bodies = [encoding.reply(query, encoded, turn=turn) for turn in range(max(count, 1))]
    assert len(bodies) == len(set(bodies)) == max(count, 1)
    for body in bodies:
        assert dns.message.from_wire(b"\0\0" + body).answer == message.answer


HEAD = b"\0\0\x80\0\0\1\0\1\0\0\0\0"
QUESTION = b"\1w\3org\0\0\1\0\1"
FIXED = b"\0\1\0\1\0\0\0\5\0\4\1\2\3\4"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(HEAD + QUESTION + b"\1W\3org\0" + FIXED, id="owner spelt out"),
        pytest.param(HEAD + QUESTION + b"\1W\xc0\x0e" + FIXED, id="owner spelt out in part"),
        pytest.param(HEAD + QUESTION + b"\1w\xc0\x05" + FIXED, id="pointer into the header"),
        pytest.param(
            HEAD + QUESTION + b"\xc0\x0c" + FIXED.replace(b"\0\0\0\5\0\4", b"\x80\0\0\5\0\4"),
            id="TTL",
        ),
        pytest.param(
            HEAD[:6] + b"\0\2\0\0\0\0" + QUESTION + b"\xc0\x0c" + FIXED + b"\1a\xc0\x1b" + FIXED,
            id="pointer into a TTL",
        ),
        pytest.param(
            HEAD[:6]
            + b"\0\0\0\0\0\2"
            + QUESTION
            + b"\0\0\x29\4\xd0"
            + bytes(6)
            + b"\xc0\x0c"
            + FIXED,
            id="OPT record not at the end",
        ),
        pytest.param(
            HEAD + QUESTION + b"\xc0\x0c\0\x21\0\1\0\0\0\5\0\x08" + bytes(6) + b"\xc0\x0c",
            id="compressed target of an SRV record",
        ),
    ],
)
def test_what_is_unusual_becomes_records(data: bytes) -> None:
    response = decode(data)
    assert isinstance(response, Response)
    assert type(response.answer) is tuple
    query = asked(b"\1w\3org\0")
    answer = Answer(0, response.answer, response.authority, response.additional)
    assert sent(query, echoed(query, answer)).answer or response.additional


def test_letter_case_is_the_clients() -> None:
    answer = answer_of(reply(*CHAIN))
    query = asked(b"\3WWW\7EXAMPLE\3org\0")
    assert [record.owner for record in echoed(query, answer).answer] == [
        query.qname,
        b"\1a\7example\3net\0",
    ]
    assert isinstance(echoed(query, answer).answer, Section)


@pytest.mark.parametrize(
    ("message", "answered"),
    [
        (reply(ADDRESSES[0]), True),
        (reply(*CHAIN), True),
        (reply(CHAIN[0]), False),
        (reply(CHAIN[0], "b.example.net. 30 IN A 192.0.2.1"), False),
        (reply("other.example.org. 300 IN A 192.0.2.1"), False),
        (reply(CHAIN[0], question="www.example.org. CNAME"), True),
        (reply(additional=ADDRESSES[:1]), False),
    ],
)
def test_whether_the_question_is_answered(message: dns.message.Message, answered: bool) -> None:
    assert relayed(message).answered == answered


@pytest.mark.parametrize(("ttl", "expected"), [(300, 60), (30, 30)])
def test_the_soa_of_a_denial(ttl: int, expected: int) -> None:
    found = relayed(reply(authority=(SOA.replace("300", str(ttl)),)))
    assert found.denying(0, 1000).least == expected
    assert found.denying(0, 20).least == 20
