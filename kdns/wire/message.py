"""The values that travel between the stages: a Query goes in, an Answer comes out.

Both are immutable; a stage that changes one makes a new one (``msgspec.structs.replace``).
An ``Answer`` says what it depends on (``keys``), so that whoever keeps it knows when to forget it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal, Protocol, Self, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from kdns.wire.constants import Flag, Rcode
from kdns.wire.names import Name

Transport: TypeAlias = Literal["udp", "tcp", "tls", "internal"]

# What a change can concern: ("svc", namespace, name), ("ns", name), ("ip", address), ("pod", address),
# ("names", namespace), ("zone", origin) ... The first element names the kind, the rest the thing.
Key: TypeAlias = tuple[str, ...]

FOREVER: Final = float("inf")


class Edns(Struct, frozen=True, gc=False):
    """The OPT pseudo-record of a request (RFC 6891 section 6.1)."""

    payload_size: int = 1232
    version: int = 0
    dnssec_ok: bool = False
    options: tuple[tuple[int, bytes], ...] = ()


class Denial(Struct, frozen=True):
    """The absence of a name, and with it of all its types, as one stage knows (RFC 8020 section 2)."""

    tree: object
    """Stands for what that stage knows; another one may have the name."""
    name: Name


class Query(Struct, frozen=True):
    """One question, with all of its message that may matter to the answer."""

    qname: bytes
    """Uncompressed wire form, lower-case in what clients send."""
    name: Name
    """The same as labels."""
    qtype: int
    qclass: int = 1
    message_id: int = 0
    flags: int = 0
    """The header's second word as it came (opcode and all)."""
    edns: Edns | None = None
    transport: Transport = "udp"
    client: str = ""
    """The source address in text; "" for a question that the server asks itself."""
    client_port: int = 0
    server: tuple[str, int] = ("", 0)
    """The address, without a scope, and the port that it was sent to; ("", 0) for the server's own.

    The address is a wildcard where every one is listened on and the system does not say which one it was."""
    followed: tuple[Name, ...] = ()
    """The names of the chain of aliases that led here, from the client's to this one; empty without."""
    serial: int | None = None
    """What an asker for IXFR has: of the SOA in the authority section (RFC 1995 section 3)."""
    spelling: bytes = b""
    """``qname`` in the client's letter case, which the reply's question section echoes; b"" for as it is.

    Answers are made for the lower-case name, so that they are the same for every spelling."""
    trace: list[str] | None = None
    """Where stages write what they did, for who asked how an answer comes about; else None."""
    denied: tuple[Denial, Answer] | None = None
    """A denial that ``cache`` has, with its answer: the stage that said so need not ask for this type."""

    @property
    def opcode(self) -> int:
        return self.flags >> 11 & 0xF

    @property
    def recursion_desired(self) -> bool:
        return bool(self.flags & Flag.RD)

    @property
    def wants_reason(self) -> bool:
        """Whether an Extended DNS Error can be sent: only to who speaks EDNS (RFC 8914 section 3)."""
        return self.edns is not None

    def follow(self, target: bytes, followed: tuple[Name, ...]) -> Query:
        """The server's own query for the target of an alias (wire form), the last name of ``followed``."""
        name = followed[-1]
        return replace(
            self,
            qname=target,
            name=name,
            spelling=b"",
            transport="internal",
            followed=followed,
        )


class Record(Struct, frozen=True, gc=False):
    """A resource record; owner and names inside ``rdata`` are uncompressed wire forms."""

    owner: bytes
    rtype: int
    ttl: int
    rdata: bytes
    rclass: int = 1


class ExtendedError(Struct, frozen=True, gc=False):
    """Why an answer is what it is (RFC 8914)."""

    code: int
    text: str = ""


class Absence(Struct, frozen=True):
    """What a denial says of more names than the one queried: those below the same parent (RFC 8198)."""

    holds: Callable[[str], bool]
    """Whether the answer, but for its reason, is that to the name with this first label (lower-case).

    Called for each query, so it may look at what changes; ``Answer.keys`` are dependencies besides."""
    reason: tuple[str, str] = ("", "")
    """The text of the Extended DNS Error, before the label and after it."""
    apart: frozenset[Key] = frozenset()
    """Those of ``Answer.keys`` that concern the name queried alone."""


class Answer(Struct, frozen=True):
    """What is to be said to a Query, still without the header and the OPT of its message."""

    rcode: int = Rcode.NOERROR
    answer: Sequence[Record] = ()
    authority: Sequence[Record] = ()
    additional: Sequence[Record] = ()
    authoritative: bool = True
    recursion_available: bool = False
    authenticated: bool = False
    """Whether an upstream says to have validated it (RFC 4035 section 3.2.3)."""
    recursion_desired: bool | None = None
    """What the reply's RD bit says; None for what the question said (RFC 1035 section 4.1.1)."""
    truncated: bool = False
    errors: tuple[ExtendedError, ...] = ()
    options: tuple[tuple[int, bytes], ...] = ()
    """Further EDNS options of the reply, such as NSID."""
    following: tuple[bytes, ...] = ()
    """Further messages of a zone transfer, without their message IDs (RFC 5936 section 2.2)."""
    keys: frozenset[Key] = frozenset()
    """The reply cache drops the answer when any of these changes."""
    keep_until: float = FOREVER
    """Monotonic time until which the same octets may be sent again; 0 where each query counts."""
    payload_limit: int = 0
    """Octets of a reply over UDP at the most (``bufsize``); 0 for ``encode.MAX_UDP``."""
    at_most: int = 0
    """Addresses or SRV records in one reply, the next one having others; 0 for all (``max_answers``)."""
    silent: bool = False
    """Nothing is sent at all (``acl`` with ``drop``)."""
    fetched: bool = False
    """Came from another server, so it holds for as long as its TTLs say: what ``cache`` is for."""
    denial: Denial | None = None
    """Set with NXDOMAIN where the name is absent for every type, as far as one stage can say."""
    absence: Absence | None = None
    """Set with NXDOMAIN where sibling names are known to be absent too."""
    failure: str = ""
    """What went wrong while the answer was looked for, for the log (``errors``)."""
    replayed: tuple[Callable[[int], None], ...] = ()
    """Called with how often the same bytes were sent again; for directives that count."""
    plugin: str = ""
    """The directive that answered, for ``coredns_dns_responses_total{plugin}``."""
    ordered: bool = False
    """Whether the addresses stand in an order that is not to be turned (``loadbalance`` with ``prefer``)."""
    metadata: tuple[tuple[str, str], ...] = ()
    """What was found out on the way, for ``log``: labels such as ``forward/upstream``, and values."""
    handled: bool = True
    """False only from the end of a chain: no plugin took the question."""


class PendingReply(Protocol):
    """A reply that is not there yet."""

    def on_done(self, callback: Callable[[PendingReply, bytes | None], None]) -> None:
        """Have ``callback`` called with it once, None for silence; at once if it is there."""

    def close(self) -> None:
        """Give it up: nothing is called any more."""


Reply: TypeAlias = bytes | PendingReply | None
"""To a request: octets with the message ID, at once or later; None for silence."""

Respond: TypeAlias = Callable[[bytes, str, int, Transport, str], Reply]
"""Answers a request from an address and port; the last argument is the address that it was sent to."""


class Transfer(bytes):
    """The first message of a reply over TCP that has several (RFC 5936 section 2.2)."""

    following: tuple[bytes, ...]
    """The others without their message IDs: who else is sent the same zone shares them."""

    def __new__(cls, first: bytes, following: tuple[bytes, ...]) -> Self:
        made = super().__new__(cls, first)
        made.following = following
        return made
