"""The rules of ``rewrite`` as values, in CoreDNS's eight sorts."""

from __future__ import annotations

from typing import Final, TypeAlias

from msgspec import Struct

from kdns.plugins.rewrite.names import Matcher


class AnswerRule(Struct, frozen=True):
    """``answer name|value PATTERN REPLACEMENT``: names in the reply."""

    part: str
    """``name`` for the owners, ``value`` for what the data lead to."""
    matcher: Matcher
    replacement: str


class NameRule(Struct, frozen=True):
    """The question's name."""

    stop: bool
    matcher: Matcher
    replacement: str
    auto: bool = False
    """Whether the reply gets the name back that was asked."""
    answers: tuple[AnswerRule, ...] = ()
    metadata: bool = False
    """Whether the replacement has labels of metadata."""


class TypeRule(Struct, frozen=True):
    """The question's type."""

    stop: bool
    old: int
    new: int


class ClassRule(Struct, frozen=True):
    """The question's class."""

    stop: bool
    old: int
    new: int


class TtlRule(Struct, frozen=True):
    """The TTLs of the reply, in seconds, brought between two bounds."""

    stop: bool
    matcher: Matcher
    least: int
    most: int


class RcodeRule(Struct, frozen=True):
    """The reply's response code."""

    stop: bool
    matcher: Matcher
    old: int
    new: int


class CnameRule(Struct, frozen=True):
    """Where aliases in the reply lead; the new target is looked up."""

    stop: bool
    matcher: Matcher
    replacement: str


class EdnsRule(Struct, frozen=True):
    """An EDNS option of the question, for who is asked next."""

    stop: bool
    action: str
    """``set``, ``append``, ``replace`` or ``unset``."""
    code: int
    data: bytes = b""
    variable: str = ""
    """What the data are made from, such as ``client_ip``; "" for ``data`` as they are."""
    masks: tuple[int, int] = (0, 0)
    """Bits of an IPv4 and of an IPv6 address that ``subnet`` tells."""


PER_ASKER: Final = frozenset({"client_ip", "client_port", "server_ip", "server_port", "subnet"})
"""Variables that may differ between two askers of one question; metadata may too."""


def is_per_asker(rule: Rule, name: str) -> bool:
    """Whether what the rule makes of a question, or not, is right for its asker alone."""
    if isinstance(rule, EdnsRule):
        return rule.variable in PER_ASKER or "/" in rule.variable
    return isinstance(rule, NameRule) and rule.metadata and rule.matcher.matches(name)


Rule: TypeAlias = NameRule | TypeRule | ClassRule | TtlRule | RcodeRule | CnameRule | EdnsRule
