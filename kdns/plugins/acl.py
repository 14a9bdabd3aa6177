"""``acl [ZONES…] { allow|block|filter|drop [type TYPES…] [net NETWORKS…] }``: who may ask what.

All ``acl`` directives of a server block are one list: ``allow`` ends it.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Final, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from kdns.config.tree import Option
from kdns.metrics import families
from kdns.plugins.counting import counted
from kdns.plugins.interface import Context, Handler
from kdns.plugins.zones import longest_match, parse_zones, served_zones
from kdns.wire.constants import ErrorCode, Rcode
from kdns.wire.message import Answer, Query
from kdns.wire.names import Name, plain_address, to_text
from kdns.wire.reasons import because
from kdns.wire.scalars import type_number

NAME: Final = "acl"
ACTIONS: Final = ("allow", "block", "filter", "drop")
SECTIONS: Final = ("type", "net")
EVERYTHING: Final = "*"
_COUNTERS: Final = {
    "allow": families.ACL_ALLOWED,
    "block": families.ACL_BLOCKED,
    "filter": families.ACL_FILTERED,
    "drop": families.ACL_DROPPED,
}

Network: TypeAlias = IPv4Network | IPv6Network


class Policy(Struct, frozen=True):
    """A line: what is done with which types from which networks."""

    action: str
    types: frozenset[int] = frozenset()
    """Empty for all."""
    networks: tuple[Network, ...] | None = None
    """None for all."""


class Rule(Struct, frozen=True):
    """A directive."""

    zones: tuple[Name, ...]
    """Empty for those of the server block."""
    policies: tuple[Policy, ...]


class Settings(Struct, frozen=True):
    """What the directives of a server block say, in order."""

    rules: tuple[Rule, ...]


def parse(directive: Option) -> Settings:
    """Raises ``ConfigError``."""
    policies = tuple(_policy(option) for option in directive.options)
    return Settings((Rule(parse_zones(directive, directive.args), policies),))


def combine(settings: tuple[Settings, ...]) -> Settings:
    return Settings(tuple(rule for one in settings for rule in one.rules))


def _policy(option: Option) -> Policy:
    action = option.name.lower()
    if action not in ACTIONS:
        option.fail(f"unknown action of acl; expected {', '.join(ACTIONS)}")
    words: dict[str, list[str]] = {section: [] for section in SECTIONS}
    for section, more in _sections(option):
        words[section] += more
    types, networks = (found if EVERYTHING not in found else [] for found in words.values())
    return Policy(
        action,
        _types(option, types),
        tuple(_network(option, word) for word in networks) or None,
    )


def _sections(option: Option) -> Iterator[tuple[str, list[str]]]:
    words = list(option.args)
    while words:
        section = words.pop(0).lower()
        if section not in SECTIONS:
            option.fail(f"expected type or net, found {section!r}")
        end = next((at for at, w in enumerate(words) if w.lower() in SECTIONS), len(words))
        if not end:
            option.fail(f"nothing stands after {section}")
        yield section, words[:end]
        del words[:end]


def _types(option: Option, words: list[str]) -> frozenset[int]:
    try:
        return frozenset(type_number(word) for word in words)
    except ValueError as error:
        option.fail(str(error))


def _network(option: Option, word: str) -> Network:
    try:
        return ip_network(word, strict=False)
    except ValueError:
        option.fail(f"{word!r} is not a network, expected one like 10.0.0.0/8")


def wrap(settings: Settings, next_handler: Handler, context: Context) -> Handler:
    return Guard(Rules(settings, context), next_handler, context).answer


class Rules:
    """All rules of a server block: the first policy that matches decides; what none matches is allowed."""

    def __init__(self, settings: Settings, context: Context) -> None:
        self.rules = tuple(
            (served_zones(rule.zones, context), rule.policies) for rule in settings.rules
        )

    def decide(
        self, name: Name, qtype: int, address: IPv4Address | IPv6Address | None
    ) -> tuple[Name, str, bool]:
        """The zone and the action, and whether that depends on the client's address.

        Without an address it is what every client may expect: a policy for networks that does not allow
        is taken as if it were for all, and one that allows as if it were for none.
        """
        by_address = False
        for zones, policies in self.rules:
            zone = longest_match(zones, name)
            if zone is None:
                continue
            for policy in policies:
                if policy.types and qtype not in policy.types:
                    continue
                by_address = by_address or policy.networks is not None
                if _holds(policy, address):
                    return zone, policy.action, by_address
        return (), "allow", by_address


def rules_of(context: Context) -> Rules:
    """Those of the server block."""
    return Rules(combine(tuple(map(parse, context.block.named(NAME)))), context)


class Guard:
    """The stage."""

    def __init__(self, rules: Rules, next_handler: Handler, context: Context) -> None:
        self.rules, self.next, self.context = rules, next_handler, context

    async def answer(self, query: Query) -> Answer:
        if not query.client:  # the server's own question
            return await self.next(query)
        address = plain_address(query.client)
        zone, action, by_address = self.rules.decide(query.name, query.qtype, address)
        answer = await self.next(query) if action == "allow" else _REPLIES[action](query)
        answer = self._counted(answer, zone, action)
        return replace(answer, keep_until=0.0) if by_address else answer

    def _counted(self, answer: Answer, zone: Name, action: str) -> Answer:
        labels = (self.context.server, *(() if action == "allow" else (to_text(zone),)), "")
        return counted(answer, self.context.metrics, _COUNTERS[action], *labels)


def _holds(policy: Policy, address: IPv4Address | IPv6Address | None) -> bool:
    if policy.networks is None:
        return True
    if address is None:
        return policy.action != "allow"
    return any(address in network for network in policy.networks)


def _blocked(query: Query) -> Answer:
    return _say(query, Rcode.REFUSED, ErrorCode.BLOCKED)


def _filtered(query: Query) -> Answer:
    return _say(query, Rcode.NOERROR, ErrorCode.FILTERED)


def _dropped(query: Query) -> Answer:
    return Answer(silent=True, keep_until=0.0, plugin=NAME)


def _say(query: Query, rcode: int, code: int) -> Answer:
    return Answer(rcode, authoritative=False, errors=because(query, code), plugin=NAME)


_REPLIES: Final = {"block": _blocked, "filter": _filtered, "drop": _dropped}
