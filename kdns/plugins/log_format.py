"""The format language of ``log``: text with placeholders such as ``{name}`` and ``{>id}``.

What is no placeholder stands as written, braces included. ``{/KEY}`` is metadata; what is empty or not
known gives ``-``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Final, TypeAlias

from msgspec import Struct

from kdns.wire.constants import Flag, class_name, rcode_name, type_name
from kdns.wire.message import Answer, Query
from kdns.wire.names import to_text

EMPTY: Final = "-"
HEADER_SIZE: Final = 12  # octets, RFC 1035 section 4.1.1
OPT_SIZE: Final = 11  # octets of an OPT without options, RFC 6891 section 6.1.2
MAX_MESSAGE: Final = 65535  # octets
MIN_PAYLOAD: Final = 512  # octets, RFC 6891 section 6.2.3


class Exchange(Struct, frozen=True):
    """A question and what was said to it."""

    query: Query
    answer: Answer
    response_size: int
    """Octets of the DNS message."""
    duration: float
    """Seconds."""
    metadata: Callable[[str], str]
    """What is published under a label."""


Format: TypeAlias = Callable[[Exchange], str]


def request_size(query: Query) -> int:
    """Octets of the message that a query came in, but for records that it should not have had."""
    edns = query.edns
    options = sum(4 + len(data) for _, data in edns.options) + OPT_SIZE if edns else 0
    return HEADER_SIZE + len(query.qname) + 4 + options


def payload_size(query: Query) -> int:
    """Octets that the asker can take."""
    if query.transport != "udp":
        return MAX_MESSAGE
    return max(MIN_PAYLOAD, query.edns.payload_size) if query.edns else MIN_PAYLOAD


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _seconds(duration: float) -> str:
    """Seconds in plain decimals, never ``1e-05``, to the nanosecond."""
    return f"{Decimal(repr(round(duration, 9))):f}".removesuffix(".0") + "s"


def _flags(exchange: Exchange) -> str:
    query, answer = exchange.query, exchange.answer
    flags = {
        "qr": True,
        "aa": answer.authoritative,
        "tc": answer.truncated,
        "rd": query.recursion_desired,
        "ra": answer.recursion_available,
        "cd": query.flags & Flag.CD,
    }
    return ",".join(name for name, is_set in flags.items() if is_set)


PLACEHOLDERS: Final[dict[str, Format]] = {
    "type": lambda x: type_name(x.query.qtype),
    "name": lambda x: to_text(x.query.name),
    "class": lambda x: class_name(x.query.qclass),
    "proto": lambda x: "udp" if x.query.transport == "udp" else "tcp",
    "size": lambda x: str(request_size(x.query)),
    "remote": lambda x: _bracketed(x.query.client) or EMPTY,
    "port": lambda x: str(x.query.client_port),
    "local": lambda x: _bracketed(x.query.server[0]) or EMPTY,
    ">id": lambda x: str(x.query.message_id),
    ">opcode": lambda x: str(x.query.opcode),
    ">do": lambda x: "true" if x.query.edns and x.query.edns.dnssec_ok else "false",
    ">bufsize": lambda x: str(payload_size(x.query)),
    "rcode": lambda x: rcode_name(x.answer.rcode).removeprefix("RCODE"),
    "rsize": lambda x: str(x.response_size),
    "duration": lambda x: _seconds(x.duration),
    ">rflags": _flags,
}

_TOKEN: Final = re.compile(
    r"\{(?P<name>" + "|".join(map(re.escape, PLACEHOLDERS)) + r")\}|\{/(?P<metadata>[^{}]*)\}"
)


def parse_format(text: str) -> Format:
    """A function that fills the placeholders in."""
    parts: list[Format] = []
    at = 0
    for token in _TOKEN.finditer(text):
        parts.append(_literal(text[at : token.start()]))
        parts.append(PLACEHOLDERS.get(token["name"]) or _metadata(token["metadata"]))
        at = token.end()
    parts.append(_literal(text[at:]))
    return lambda exchange: "".join([part(exchange) for part in parts])


def _metadata(label: str) -> Format:
    return lambda exchange: exchange.metadata(label) or EMPTY


def _literal(text: str) -> Format:
    return lambda _: text
