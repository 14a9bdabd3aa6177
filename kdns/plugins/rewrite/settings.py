"""The words of the ``rewrite`` directive, on one line or in a block."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from kdns.config.tree import Option
from kdns.plugins import go_regex
from kdns.plugins.rewrite.edns import parse_edns
from kdns.plugins.rewrite.names import KINDS, Matcher, check_placeholders, holes, normal
from kdns.plugins.rewrite.rules import (
    AnswerRule,
    ClassRule,
    CnameRule,
    NameRule,
    RcodeRule,
    Rule,
    TtlRule,
    TypeRule,
)
from kdns.wire.constants import Class, rcode_number
from kdns.wire.scalars import type_number

MAX_TTL: Final = 0x7FFFFFFF  # seconds; RFC 2181 section 8
_MOST: Final = 0xFFFFFFFF
_RANGE: Final = re.compile(r"(?P<least>\d{0,10})(?P<dash>-?)(?P<most>\d{0,10})", re.ASCII)
_MODES: Final = ("stop", "continue")


class Settings(Struct, frozen=True):
    """The rules of a server block, in order."""

    rules: tuple[Rule, ...]


def combine(settings: tuple[Settings, ...]) -> Settings:
    return Settings(tuple(rule for one in settings for rule in one.rules))


def parse(directive: Option) -> Settings:
    """Raises ``ConfigError``."""
    if directive.options and len(directive.args) > 1:
        directive.fail("takes a rule on its line or in its block, not both")
    words = list(directive.args)
    for option in directive.options:
        if option.options:
            option.fail("a rule has no block of its own")
        words += [option.name, *option.args]
    stop = True
    if words and words[0].lower() in _MODES:
        stop = words.pop(0).lower() == "stop"
    kind = words.pop(0).lower() if words else ""
    if kind not in _SORTS:
        directive.fail(f"expected {', '.join(_SORTS)}, found {kind!r}")
    return Settings((_SORTS[kind](directive, stop, words),))


def _matcher(directive: Option, kind: str, text: str, final_dot: bool = True) -> Matcher:
    kind = kind.lower()
    if kind not in KINDS:
        directive.fail(f"unknown way to match {kind!r}; expected {', '.join(KINDS)}")
    if kind == "regex":
        try:
            go_regex.compile(text)
        except ValueError as error:
            directive.fail(str(error))
        return Matcher(kind, text)
    return Matcher(kind, normal(text) if final_dot or kind == "exact" else text.lower())


def _check_groups(directive: Option, pattern: str, replacement: str) -> None:
    groups = go_regex.compile(pattern).groups
    if holes(replacement) > groups:
        directive.fail(f"{replacement!r} uses more groups than {pattern!r} has ({groups})")


# ---- name


def _name(directive: Option, stop: bool, words: list[str]) -> Rule:
    if len(words) < 2:
        directive.fail("name takes [exact|prefix|suffix|substring|regex] FROM TO")
    kind, old, new, *rest = words if len(words) > 2 else ("exact", *words)
    matcher = _matcher(directive, kind, old)
    metadata = rest[:1] == ["metadata"]
    if metadata and matcher.kind != "regex":
        directive.fail("metadata is for name regex alone")
    auto, answers = _answers(directive, rest[1:] if metadata else rest)
    auto = auto or matcher.kind == "exact"
    if metadata:
        if problem := check_placeholders(new, go_regex.compile(old).groups):
            directive.fail(f"{new!r}: {problem}")
        return NameRule(stop, matcher, f"{new.removesuffix('.')}.", auto, answers, metadata=True)
    if matcher.kind == "regex":
        _check_groups(directive, old, new)
    return NameRule(stop, matcher, normal(new), auto, answers)


def _answers(directive: Option, words: list[str]) -> tuple[bool, tuple[AnswerRule, ...]]:
    """``answer auto``, ``answer name RE TO``, ``answer value RE TO``; the first word once at least."""
    auto, rules = False, []
    if words and words[0] != "answer":
        directive.fail(f"expected answer, found {words[0]!r}")
    while words:
        if words[0] == "answer":
            del words[0]
        part = words.pop(0) if words else ""
        if part == "auto":
            auto = True
            continue
        if part not in {"name", "value"}:
            directive.fail(f"expected auto, name or value after answer, found {part!r}")
        if len(words) < 2:
            directive.fail(f"answer {part} takes a regular expression and a replacement")
        old, new = words[:2]
        del words[:2]
        matcher = _matcher(directive, "regex", old)
        _check_groups(directive, old, new)
        rules.append(AnswerRule(part, matcher, normal(new)))
    if auto and any(rule.part == "name" for rule in rules):
        directive.fail("answer auto and answer name exclude one another")
    return auto, tuple(rules)


# ---- the others


def _type(directive: Option, stop: bool, words: list[str]) -> Rule:
    if len(words) != 2:
        directive.fail("type takes exactly two types")
    try:
        old, new = map(type_number, words)
    except ValueError as error:
        directive.fail(str(error))
    return TypeRule(stop, old, new)


def _class(directive: Option, stop: bool, words: list[str]) -> Rule:
    if len(words) != 2:
        directive.fail("class takes exactly two classes")
    for word in words:
        if word.upper() not in Class.__members__:
            directive.fail(f"{word!r} is not a class; expected {', '.join(Class.__members__)}")
    old, new = (Class[word.upper()] for word in words)
    return ClassRule(stop, old, new)


def _ttl(directive: Option, stop: bool, words: list[str]) -> Rule:
    if len(words) not in {2, 3}:
        directive.fail("ttl takes [exact|prefix|suffix|substring|regex] FROM SECONDS|MIN-MAX")
    kind, old, text = words if len(words) == 3 else ("exact", *words)
    least, most = _bounds(directive, text)
    return TtlRule(stop, _matcher(directive, kind, old), least, most)


def _bounds(directive: Option, text: str) -> tuple[int, int]:
    found = _RANGE.fullmatch(text)
    least, most = -1, -1
    if found and (found["least"] or found["most"]):
        least = int(found["least"] or 0)
        most = int(found["most"] or MAX_TTL) if found["dash"] else least
    if not 0 <= least <= most <= _MOST:
        directive.fail(f"takes seconds, or a range as in 30-300, 30- and -300, got {text!r}")
    return least, most


def _rcode(directive: Option, stop: bool, words: list[str]) -> Rule:
    if len(words) not in {3, 4}:
        directive.fail("rcode takes [exact|prefix|suffix|substring|regex] FROM OLD NEW")
    kind, name, *codes = words if len(words) == 4 else ("exact", *words)
    old, new = (_rcode_number(directive, code) for code in codes)
    return RcodeRule(stop, _matcher(directive, kind, name), old, new)


def _rcode_number(directive: Option, text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) < 4 and int(text) <= 23:
        return int(text)
    number = rcode_number(text)
    if number is None:
        directive.fail(f"unknown response code {text!r}; expected one such as NXDOMAIN, or 0 to 23")
    return number


def _cname(directive: Option, stop: bool, words: list[str]) -> Rule:
    if len(words) not in {2, 3}:
        directive.fail("cname takes [exact|prefix|suffix|substring|regex] FROM TO")
    kind, old, new = words if len(words) == 3 else ("exact", *words)
    matcher = _matcher(directive, kind, old.lower(), final_dot=False)
    return CnameRule(stop, matcher, normal(new) if matcher.kind == "exact" else new.lower())


def _answer(directive: Option, stop: bool, words: list[str]) -> Rule:
    directive.fail("answer must follow a name rule")


_SORTS: Final[dict[str, Callable[[Option, bool, list[str]], Rule]]] = {
    "name": _name,
    "type": _type,
    "class": _class,
    "ttl": _ttl,
    "rcode": _rcode,
    "cname": _cname,
    "edns0": parse_edns,
    "answer": _answer,
}
