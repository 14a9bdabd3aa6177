"""The stage: the rules in order change the question, and the other way round they change the reply."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, TypeAlias

from msgspec.structs import replace

from kdns.plugins.aliases import AliasChaser, follows
from kdns.plugins.interface import Context, Handler
from kdns.plugins.rewrite import edns
from kdns.plugins.rewrite.names import Remapper, Reverser
from kdns.plugins.rewrite.rules import (
    ClassRule,
    CnameRule,
    EdnsRule,
    NameRule,
    RcodeRule,
    Rule,
    TtlRule,
    TypeRule,
    is_per_asker,
)
from kdns.plugins.rewrite.settings import Settings
from kdns.wire.constants import ErrorCode, Rcode, Type, type_name
from kdns.wire.message import FOREVER, Answer, Query, Record
from kdns.wire.names import BadNameError, from_wire, to_text, wire_from_text, wire_to_text
from kdns.wire.reasons import because
from kdns.wire.record_types import target_of, with_target

NAME: Final = "rewrite"

Renamer: TypeAlias = Callable[[bytes], bytes]
Reversal: TypeAlias = Callable[[Answer], Awaitable[Answer]]
Step: TypeAlias = tuple[Query, tuple[Reversal, ...]] | None
"""The changed question, and what is to be done with the reply; None where a rule does not match."""


def wrap(settings: Settings, next_handler: Handler, context: Context) -> Handler:
    return Rewriter(settings, next_handler, context).answer


class Rewriter:
    """All rules of a server block."""

    def __init__(self, settings: Settings, next_handler: Handler, context: Context) -> None:
        self.rules, self.next, self.context = settings.rules, next_handler, context
        self.aliases = AliasChaser(context.resolve, "the alias")

    async def answer(self, query: Query) -> Answer:
        asked, reversals, per_asker = query, list[Reversal](), False
        for rule in self.rules:
            # Also where it then does nothing: for another asker it may.
            per_asker = per_asker or is_per_asker(rule, to_text(asked.name))
            try:
                step = self._apply(rule, asked, query)
            except BadNameError as error:
                return _no_name(query, error, 0.0 if per_asker else FOREVER)
            if step is None:
                continue
            asked = step[0]
            if query.trace is not None:
                query.trace.append(f"rewrite: {_told(rule, asked)}")
            reversals += step[1]
            if rule.stop:
                break
        reply = await self.next(asked)
        for reversal in reversed(reversals):
            reply = await reversal(reply)
        return replace(reply, keep_until=0.0) if per_asker else reply

    def _apply(self, rule: Rule, asked: Query, original: Query) -> Step:
        match rule:
            case NameRule():
                return self._rename(rule, asked, original)
            case TypeRule(_, old, new):
                return (replace(asked, qtype=new), ()) if asked.qtype == old else None
            case ClassRule(_, old, new):
                return (replace(asked, qclass=new), ()) if asked.qclass == old else None
            case EdnsRule():
                changed = edns.apply(rule, asked, partial(self.context.metadata, original))
                return None if changed is None else (changed, ())
            case CnameRule():
                return asked, (self._redirecting(rule, asked),)
            case TtlRule() | RcodeRule():
                if not rule.matcher.matches(to_text(asked.name)):
                    return None
                return asked, (_clamping(rule) if isinstance(rule, TtlRule) else _recoding(rule),)

    def _rename(self, rule: NameRule, asked: Query, original: Query) -> Step:
        """Raises ``BadNameError`` when the result is no name."""
        name = to_text(asked.name)
        if rule.metadata:
            published = partial(self.context.metadata, original)
            made = rule.matcher.expand(name, rule.replacement, published)
        else:
            made = rule.matcher.rewrite(name, rule.replacement)
        if made is None:
            return None
        wire = wire_from_text(made)
        reversals = _answers(rule, wire, asked.qname, original.qname)
        return replace(asked, qname=wire, name=from_wire(wire)), reversals

    def _redirecting(self, rule: CnameRule, asked: Query) -> Reversal:
        async def reverse(reply: Answer) -> Answer:
            for at, record in enumerate(reply.answer):
                if record.rtype == Type.CNAME:
                    target = rule.matcher.rewrite(
                        wire_to_text(record.rdata).lower(), rule.replacement
                    )
                    if target is not None:
                        return await self._redirect(reply, at, target, asked)
            return reply

        return reverse

    async def _redirect(self, reply: Answer, at: int, target: str, asked: Query) -> Answer:
        """Let the alias lead to ``target``, and after it stand what the server says of that."""
        try:
            wire = wire_from_text(target)
        except BadNameError:
            return reply
        alias = replace(reply.answer[at], rdata=wire)
        if not follows(asked.qtype):
            return replace(reply, answer=(*reply.answer[:at], alias, *reply.answer[at + 1 :]))
        before = [record for record in reply.answer[:at] if record.rtype == Type.CNAME]
        path = (*before, alias)
        # What was said of the target before is not said of this one.
        authority = tuple([record for record in reply.authority if record.rtype != Type.SOA])
        led = replace(reply, rcode=Rcode.NOERROR, answer=path, authority=authority, errors=())
        return await self.aliases.follow(asked, led, path)


def _told(rule: Rule, asked: Query) -> str:
    kind = type(rule).__name__.removesuffix("Rule").lower()
    return f"a rule for {kind}; asks for {to_text(asked.name)} {type_name(asked.qtype)}"


def _no_name(query: Query, error: BadNameError, keep_until: float) -> Answer:
    text = f"what rewrite makes of the name is none: {error}"
    errors = because(query, ErrorCode.OTHER, text)
    return Answer(
        Rcode.SERVFAIL, authoritative=False, errors=errors, plugin=NAME, keep_until=keep_until
    )


# ---- names


def _answers(rule: NameRule, made: bytes, before: bytes, original: bytes) -> tuple[Reversal, ...]:
    reversals: list[Reversal] = []
    if rule.auto:
        back: Renamer = Remapper(made.lower(), before)
        if rule.matcher.kind == "suffix":
            # Other names with that ending come back as well.
            ending = type(rule.matcher)("suffix", rule.replacement)
            back = Reverser(ending, rule.matcher.text, original)
        reversals += (_owners(back), _values(back))
    for one in rule.answers:
        renamer = Reverser(one.matcher, one.replacement, original)
        reversals.append(_owners(renamer) if one.part == "name" else _values(renamer))
    return tuple(reversals)


def _owners(rename: Renamer) -> Reversal:
    return _each(lambda record: replace(record, owner=rename(record.owner)))


def _values(rename: Renamer) -> Reversal:
    def changed(record: Record) -> Record:
        target = target_of(record.rtype, record.rdata)
        if target is None:
            return record
        return replace(record, rdata=with_target(record.rtype, record.rdata, rename(target)))

    return _each(changed)


def _each(change: Callable[[Record], Record]) -> Reversal:
    """The same for every record of the reply."""

    async def reverse(reply: Answer) -> Answer:
        return replace(
            reply,
            answer=tuple([change(record) for record in reply.answer]),
            authority=tuple([change(record) for record in reply.authority]),
            additional=tuple([change(record) for record in reply.additional]),
        )

    return reverse


# ---- TTLs and response codes


def _clamping(rule: TtlRule) -> Reversal:
    return _each(lambda record: replace(record, ttl=min(max(record.ttl, rule.least), rule.most)))


def _recoding(rule: RcodeRule) -> Reversal:
    async def reverse(reply: Answer) -> Answer:
        return replace(reply, rcode=rule.new) if reply.rcode == rule.old else reply

    return reverse
