"""What expressions can ask about the question: CoreDNS's functions of its ``view``."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final

from kdns.plugins.arrival import server_address
from kdns.plugins.expressions.values import BOOL, INT, STRING, Env, ExpressionError, Function
from kdns.plugins.log_format import payload_size, request_size
from kdns.wire.constants import class_name, type_name
from kdns.wire.message import Query
from kdns.wire.names import plain_address, to_text


def client_ip(query: Query) -> str:
    """The asker, without the scope of an IPv6 address; "" for a question of the server's own."""
    return str(plain_address(query.client)) if query.client else ""


@lru_cache(maxsize=1024)
def _network(text: str) -> IPv4Network | IPv6Network:
    return ip_network(text, strict=False)


def in_network(address: str, network: str) -> bool:
    """Raises ``ExpressionError`` for what is no address or no network."""
    if "/" not in network:
        raise ExpressionError(f"{network!r} is not a network, expected one like 10.0.0.0/8")
    try:
        return plain_address(address) in _network(network)
    except ValueError as error:
        raise ExpressionError(str(error)) from error


def _metadata(env: Env, label: str) -> str:
    return env.metadata(env.query, label)


def _asks(gives: str, call: object) -> Function:
    """A function without arguments."""
    assert callable(call)
    return Function((), gives, lambda env: call(env.query), sees_question=True)


QUESTION: Final[dict[str, Function]] = {
    "bufsize": _asks(INT, payload_size),
    "class": _asks(STRING, lambda query: class_name(query.qclass)),
    "client_ip": _asks(STRING, client_ip),
    "do": _asks(BOOL, lambda query: query.edns is not None and query.edns.dnssec_ok),
    "id": _asks(INT, lambda query: query.message_id),
    "name": _asks(STRING, lambda query: to_text(query.name)),
    "opcode": _asks(INT, lambda query: query.opcode),
    "port": _asks(STRING, lambda query: str(query.client_port)),
    "proto": _asks(STRING, lambda query: "udp" if query.transport == "udp" else "tcp"),
    "server_ip": _asks(STRING, lambda query: server_address(query)[0]),
    "server_port": _asks(STRING, lambda query: str(server_address(query)[1])),
    "size": _asks(INT, request_size),
    "type": _asks(STRING, lambda query: type_name(query.qtype)),
    "incidr": Function((STRING, STRING), BOOL, in_network),
    "metadata": Function((STRING,), STRING, _metadata, sees_question=True),
}

BY_ASKER: Final = frozenset(
    {"bufsize", "client_ip", "id", "metadata", "port", "proto", "server_ip", "size"}
)
"""What may differ between queries that share an entry of the reply cache."""
