"""Records of another server's reply as the octets that came, so that they can be sent on as they are.

Compression pointers of a message lead to its question or behind it, so they stay right in every message
that begins with as long a question. Only TTLs change, in place. ``scan`` makes sure of all that.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from struct import Struct as Layout
from typing import Final, SupportsIndex, overload

from msgspec import Struct
from msgspec.structs import replace

from kdns.wire.constants import Type
from kdns.wire.layouts import HEADER, QUESTION
from kdns.wire.message import Answer, Query, Record
from kdns.wire.reader import Reader

_TTL: Final = Layout("!I")
_ADDRESS_OCTETS: Final = {
    Type.A.to_bytes(2): 16,
    Type.AAAA.to_bytes(2): 28,
}
"""Of an address record whose owner is a pointer, by its type."""


class Run(Struct, frozen=True, gc=False):
    """Where the address records of an answer stand, all of one size, so that they can be rotated."""

    start: int
    size: int
    count: int


class Relayed(Struct, frozen=True, gc=False):
    """The three sections of a well-formed message, without its header and OPT record."""

    question: bytes
    """The question section: name, type and class."""
    body: bytes
    """The records. Their names are well-formed and lead to other names in here or in the question."""
    counts: tuple[int, int, int]
    """Records in the answer, authority and additional sections."""
    ttls: array[int]
    """Offset in ``body`` of each record's TTL."""
    least: int
    most: int
    """The least and the greatest TTL in seconds; 0 where there are no records."""
    answered: bool = False
    """Whether the aliases in the answer section lead, in order, to a record of the question's type."""
    soa: int = -1
    """Number, among all records, of the first SOA in the authority section; -1 for none."""
    minimum: int = 0
    """The last field of that SOA: seconds (RFC 2308 section 4)."""

    def aged(self, seconds: int) -> Relayed:
        """The same with TTLs counted down, none below 0."""
        if not seconds:
            return self
        if self.least == self.most:
            return self.with_ttl(max(self.least - seconds, 0))
        return self._with_ttls([max(ttl - seconds, 0) for ttl in self._ttl_values()])

    def bounded(self, least: int, most: int) -> Relayed:
        """The same with TTLs from ``least`` to ``most`` seconds."""
        if self.least >= least and self.most <= most:
            return self
        if self.least == self.most:
            return self.with_ttl(min(max(self.least, least), most))
        return self._with_ttls([min(max(ttl, least), most) for ttl in self._ttl_values()])

    def denying(self, least: int, most: int) -> Relayed:
        """The same with the SOA's TTL at most its minimum (RFC 2308 section 5), and all as ``bounded``."""
        if len(self.ttls) == 1:
            return self.bounded(least, max(min(self.minimum, most), least))
        values = self._ttl_values()
        if values[self.soa] <= self.minimum:
            return self.bounded(least, most)
        values[self.soa] = self.minimum
        return self._with_ttls([min(max(ttl, least), most) for ttl in values])

    def with_ttl(self, seconds: int) -> Relayed:
        """The same with one TTL everywhere."""
        octets, body = seconds.to_bytes(4), self.body
        if len(self.ttls) == 1:
            at = self.ttls[0]
            body = b"".join((body[:at], octets, body[at + 4 :]))
        else:
            changed = bytearray(body)
            for at in self.ttls:
                changed[at : at + 4] = octets
            body = bytes(changed)
        return replace(self, body=body, least=seconds, most=seconds) if self.ttls else self

    def _with_ttls(self, values: list[int]) -> Relayed:
        if not values or min(values) == max(values):
            return self.with_ttl(values[0]) if values else self
        body = bytearray(self.body)
        for at, value in zip(self.ttls, values, strict=True):
            _TTL.pack_into(body, at, value)
        return replace(self, body=bytes(body), least=min(values), most=max(values))

    def least_of(self, sections: int) -> int:
        """The least TTL in the first so many sections, which must have records."""
        if not any(self.counts[sections:]):
            return self.least
        return min(self._ttl_values()[: sum(self.counts[:sections])])

    def _ttl_values(self) -> list[int]:
        body = self.body
        return [_TTL.unpack_from(body, at)[0] for at in self.ttls]

    def end_of(self, number: int) -> int:
        """Offset in ``body`` where one of all records ends; 0 for the number -1."""
        if number < 0:
            return 0
        at = self.ttls[number] + 4
        return at + 2 + int.from_bytes(self.body[at : at + 2])

    def asked_as(self, qname: bytes) -> Relayed:
        """The same with the question's name in another letter case."""
        if self.question.startswith(qname) or self is EMPTY:
            return self
        return replace(self, question=qname + self.question[-4:])

    def addresses(self) -> Run | None:
        """The address records at the end of the answer section, if there are several to change places."""
        last = self.counts[0] - 1
        if last < 1:
            return None
        body, ttls = self.body, self.ttls
        head = body[ttls[last] - 6 : ttls[last] - 2]  # owner, type and class
        size = _ADDRESS_OCTETS.get(body[ttls[last] - 4 : ttls[last] - 2], 0)
        if not size or self.end_of(last - 1) != ttls[last] - 6:
            return None
        first = last
        while (
            first
            and ttls[first - 1] == ttls[first] - size
            and (body[ttls[first - 1] - 6 : ttls[first - 1] - 2] == head)
        ):
            first -= 1
        if self.end_of(first - 1) != ttls[first] - 6:
            first += 1  # it spells its owner out
        return None if first >= last else Run(ttls[first] - 6, size, last - first + 1)


EMPTY: Final = Relayed(b"", b"", (0, 0, 0), array("H"), 0, 0)
"""No records at all."""


class Section(Sequence[Record]):
    """One section of a ``Relayed``, whose records are read when they are first looked at."""

    __slots__ = ("_records", "message", "number")

    def __init__(self, message: Relayed, number: int) -> None:
        self.message, self.number = message, number
        self._records: tuple[Record, ...] | None = None

    @property
    def records(self) -> tuple[Record, ...]:
        if self._records is None:
            message, number = self.message, self.number
            before = bytes(HEADER.size) + message.question
            start = message.end_of(sum(message.counts[:number]) - 1)
            reader = Reader(before + message.body, len(before) + start)
            self._records = tuple([reader.record() for _ in range(message.counts[number])])
        return self._records

    def __len__(self) -> int:
        return self.message.counts[self.number]

    @overload
    def __getitem__(self, index: SupportsIndex) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Record, ...]: ...
    def __getitem__(self, index: SupportsIndex | slice) -> Record | tuple[Record, ...]:
        return self.records[index]

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def __eq__(self, other: object) -> bool:
        return self.records == (other.records if isinstance(other, Section) else other)

    def __hash__(self) -> int:
        return hash(self.records)

    def __repr__(self) -> str:
        return repr(self.records)


def sections(message: Relayed) -> tuple[Sequence[Record], Sequence[Record], Sequence[Record]]:
    """Its answer, authority and additional sections."""
    answer, authority, additional = message.counts
    return (
        Section(message, 0) if answer else (),
        Section(message, 1) if authority else (),
        Section(message, 2) if additional else (),
    )


def message_of(answer: Answer) -> Relayed | None:
    """The message whose sections these are, all three and unchanged; None if there is none."""
    found = answer.answer, answer.authority, answer.additional
    first = found[0] or found[1] or found[2]
    if type(first) is not Section:
        return None
    message = first.message
    for number, count in enumerate(message.counts):
        each = found[number]
        if not count:
            if each:
                return None
        elif type(each) is not Section or each.message is not message or each.number != number:
            return None
    return message


def with_message(answer: Answer, message: Relayed) -> Answer:
    """The answer with these records."""
    found = sections(message)
    return replace(answer, answer=found[0], authority=found[1], additional=found[2])


def echoed(query: Query, answer: Answer) -> Answer:
    """The answer with the question's name in the query's letter case, whatever the upstream's is.

    RFC 4343 section 4.1: names compare without case, and replies are expected to have the query's.
    """
    qname, section = query.qname, answer.answer
    if type(section) is Section and section.message.question.startswith(qname):
        return answer
    message = message_of(answer)
    if message is not None:
        own = message.asked_as(qname)
        return answer if own is message else with_message(answer, own)
    if all(record.owner == qname for record in answer.answer):
        return answer
    folded = qname.lower()
    records = tuple(
        replace(record, owner=qname)
        if record.owner != qname and record.owner.lower() == folded
        else record
        for record in answer.answer
    )
    return replace(answer, answer=records)


def spliced(query: Query, answer: Answer) -> Relayed | None:
    """The message whose ``body`` can follow the question section of a reply to ``query`` as it is.

    None where a stage changed the records, or they are from a reply to another question.
    """
    message = message_of(answer)
    if message is None:
        return None
    own, tail = message.question, QUESTION.pack(query.qtype, query.qclass)
    if own[-4:] != tail or own[:-4].lower() != query.qname.lower():
        return None
    return message
