"""``header { query|response set|clear FLAGS… }``: the AA, RA and RD bits of questions and replies."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from kdns.config.tree import Option
from kdns.plugins.interface import Context, Handler
from kdns.wire.constants import Flag
from kdns.wire.message import Answer, Query

_BITS: Final = {"aa": Flag.AA, "ra": Flag.RA, "rd": Flag.RD}
_FIELDS: Final = {"aa": "authoritative", "ra": "recursion_available", "rd": "recursion_desired"}

Rule = tuple[str, bool]
"""A flag, and whether it is to be set."""


class Settings(Struct, frozen=True):
    """What the directive says."""

    query: tuple[Rule, ...] = ()
    response: tuple[Rule, ...] = ()


def parse(directive: Option) -> Settings:
    """Raises ``ConfigError``."""
    directive.none()
    rules: dict[str, tuple[Rule, ...]] = {"query": (), "response": ()}
    for option in directive.options:
        side = option.name.lower()
        if side not in rules:
            option.fail("not an option of header; expected query or response")
        rules[side] += tuple(_rules(option))
    if not any(rules.values()):
        directive.fail("needs a line such as 'response set ra'")
    return Settings(**rules)


def _rules(option: Option) -> Iterable[Rule]:
    action, *flags = option.args or ("",)
    if action.lower() not in {"set", "clear"}:
        option.fail(f"expected set or clear, found {action!r}")
    if not flags:
        option.fail(f"expected at least one of {', '.join(_BITS)} after {action}")
    for flag in flags:
        if flag.lower() not in _BITS:
            option.fail(f"unknown flag {flag!r}; expected {', '.join(_BITS)}")
    return [(flag.lower(), action.lower() == "set") for flag in flags]


def wrap(settings: Settings, next_handler: Handler, context: Context) -> Handler:
    """Change the question for later stages and upstreams, and what they answer."""
    response = {_FIELDS[flag]: state for flag, state in settings.response}
    desired = dict(settings.query).get("rd")

    async def answer(query: Query) -> Answer:
        reply = await next_handler(replace(query, flags=_changed(query.flags, settings.query)))
        if desired is not None and reply.recursion_desired is None:
            reply = replace(reply, recursion_desired=desired)  # a reply repeats its question's
        return replace(reply, **response) if reply.handled else reply

    return answer


def clears_ra(settings: Iterable[object]) -> bool:
    """Whether a block's directives keep RA off, which its ``forward`` would set otherwise."""
    rules = [rule for one in settings if isinstance(one, Settings) for rule in one.response]
    return dict(rules).get("ra") is False


def _changed(flags: int, rules: Iterable[Rule]) -> int:
    for flag, state in rules:
        flags = flags | _BITS[flag] if state else flags & ~_BITS[flag]
    return flags
