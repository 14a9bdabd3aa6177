"""``rewrite edns0 local|nsid|subnet ACTION …``: options of the question, for upstreams to see.

They never come back to the asker, with ``revert`` or without.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address, ip_network
from typing import Final

from msgspec.structs import replace

from kdns.config.tree import Option
from kdns.plugins.options import read_number
from kdns.plugins.rewrite.rules import PER_ASKER, EdnsRule
from kdns.wire.constants import EdnsOption
from kdns.wire.message import Edns, Query
from kdns.wire.names import plain_address, to_text

ACTIONS: Final = ("set", "append", "replace", "unset")
SUBNET: Final = 8  # RFC 7871 section 6
DEFAULT_SIZE: Final = 4096
"""Octets told where the question had no EDNS; the peer's."""

VARIABLES: Final = (
    *("qname", "qtype", "client_ip", "client_port", "protocol", "server_ip", "server_port"),
)
"""What a Corefile may name in braces, besides labels of metadata."""


def parse_edns(directive: Option, stop: bool, words: list[str]) -> EdnsRule:
    """Raises ``ConfigError``."""
    if len(words) < 2:
        directive.fail(f"edns0 takes local, nsid or subnet, and then {', '.join(ACTIONS)}")
    sort, action = words[0].lower(), words[1].lower()
    if action not in ACTIONS:
        directive.fail(f"unknown action {action!r}; expected {', '.join(ACTIONS)}")
    rest = words[2:]
    if action != "unset" and rest[-1:] == ["revert"]:
        del rest[-1]
    if sort not in _COUNTS:
        directive.fail(f"expected local, nsid or subnet after edns0, found {sort!r}")
    expected = _COUNTS[sort][action == "unset"]
    if len(rest) != expected:
        directive.fail(f"edns0 {sort} {action} takes {expected} arguments, got {len(rest)}")
    if sort == "nsid":
        return EdnsRule(stop, action, EdnsOption.NSID)
    return (_subnet if sort == "subnet" else _local)(directive, stop, action, rest)


_COUNTS: Final = {"nsid": (0, 0), "subnet": (2, 0), "local": (2, 1)}
"""Arguments after the action, and after ``unset``."""


def _subnet(directive: Option, stop: bool, action: str, words: list[str]) -> EdnsRule:
    masks = [0, 0]
    for at, (word, most) in enumerate(zip(words, (32, 128), strict=False)):
        masks[at] = read_number(directive, word, 0, most, "bits for edns0 subnet")
    return EdnsRule(stop, action, SUBNET, variable="subnet", masks=(masks[0], masks[1]))


def _local(directive: Option, stop: bool, action: str, words: list[str]) -> EdnsRule:
    code = _code(directive, words[0])
    text = words[1] if len(words) > 1 else ""
    if text.startswith("{") and text.endswith("}"):
        return EdnsRule(stop, action, code, variable=_variable(directive, text[1:-1]))
    try:
        data = bytes.fromhex(text[2:]) if text.startswith("0x") else text.encode()
    except ValueError:
        directive.fail(f"edns0 local takes text or 0x and hex digits, got {text!r}")
    return EdnsRule(stop, action, code, data)


def _code(directive: Option, text: str) -> int:
    try:
        code = int(text, 0)
    except ValueError:
        code = -1
    if not 0 <= code <= 0xFFFF:
        directive.fail(f"edns0 local takes an option code from 0 to 65535, got {text!r}")
    return code


def _variable(directive: Option, name: str) -> str:
    is_label = 0 < name.find("/") < len(name) - 1
    if name not in VARIABLES and not is_label:
        directive.fail(f"unknown variable {name!r}; expected {', '.join(VARIABLES)}")
    return name


def apply(rule: EdnsRule, query: Query, published: Callable[[str], str]) -> Query | None:
    """The question with other options; None where the rule does not concern it.

    ``published`` has metadata by label.
    """
    edns = query.edns or Edns(DEFAULT_SIZE)
    others = tuple(pair for pair in edns.options if pair[0] != rule.code)
    if rule.action == "unset":
        return replace(query, edns=replace(edns, options=others))
    data = data_of(rule, query, published)
    there = len(others) < len(edns.options)
    if data is None or (rule.action == "replace" and not there):
        return None
    if rule.action == "append" and there:
        if rule.variable:
            return None
        others = edns.options
    return replace(query, edns=replace(edns, options=(*others, (rule.code, data))))


def data_of(rule: EdnsRule, query: Query, published: Callable[[str], str]) -> bytes | None:
    """What a rule puts into its option; None where that is not known."""
    if not rule.variable:
        return rule.data
    if not query.client and rule.variable in PER_ASKER:
        return None
    made = _VARIABLES.get(rule.variable)
    return (made(rule, query) if made else published(rule.variable).encode()) or None


def _server_address(query: Query) -> bytes:
    host, _ = query.server
    return ip_address(host).packed if host else b""


def _subnet_data(rule: EdnsRule, client: str) -> bytes:
    """RFC 7871 section 6: family, bits told, 0, and as many octets as have them."""
    address = plain_address(client)
    bits = rule.masks[0 if address.version == 4 else 1]
    network = ip_network((address, bits), strict=False).network_address.packed
    family = 1 if address.version == 4 else 2
    return family.to_bytes(2) + bytes((bits, 0)) + network[: (bits + 7) // 8]


_VARIABLES: Final[dict[str, Callable[[EdnsRule, Query], bytes]]] = {
    "qname": lambda rule, query: to_text(query.name).encode(),
    "qtype": lambda rule, query: query.qtype.to_bytes(2),
    "client_ip": lambda rule, query: ip_address(query.client.partition("%")[0]).packed,
    "client_port": lambda rule, query: query.client_port.to_bytes(2),
    "server_ip": lambda rule, query: _server_address(query),
    "server_port": lambda rule, query: query.server[1].to_bytes(2),
    "protocol": lambda rule, query: b"udp" if query.transport == "udp" else b"tcp",
    "subnet": lambda rule, query: _subnet_data(rule, query.client),
}
