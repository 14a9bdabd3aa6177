"""The stage that answers with records made from templates."""

from __future__ import annotations

from typing import Final, cast

from msgspec.structs import replace

from kdns.metrics import families
from kdns.metrics.family import Family
from kdns.plugins.aliases import AliasChaser, follows
from kdns.plugins.counting import counted
from kdns.plugins.expressions import Env, ExpressionError
from kdns.plugins.go_regex import Pattern
from kdns.plugins.interface import Context, Handler
from kdns.plugins.template.go_template import Template, TemplateError, compile_template
from kdns.plugins.template.records import record
from kdns.plugins.template.settings import SECTIONS, Settings, compiled, definitions
from kdns.plugins.template.values import ClientFields, Fields
from kdns.plugins.zones import longest_match, served_zones
from kdns.wire.constants import Class, ErrorCode, Flag, Rcode, Type, class_name, type_name
from kdns.wire.message import FOREVER, Answer, Query, Record
from kdns.wire.names import Name, to_text, wire_to_text
from kdns.wire.reasons import because

NAME: Final = "template"
MAX_REASON: Final = 200  # characters

_BY_CLIENT: Final = frozenset({"Remote", "Meta"})
_OF_MESSAGE: Final = frozenset({"Id", "AuthenticatedData"})
_OF_QUESTION: Final = frozenset({"Name"})  # for its letter case
"""Fields that may differ between clients, or between two queries of the same one."""


def wrap(settings: Settings, next_handler: Handler, context: Context) -> Handler:
    return Stage(settings, next_handler, context).answer


class Stage:
    """One directive: which questions are its own, and what they are answered."""

    def __init__(self, settings: Settings, next_handler: Handler, context: Context) -> None:
        self.settings, self.next, self.context = settings, next_handler, context
        self.zones = served_zones(settings.zones, context)
        self.aliases = AliasChaser(context.resolve, "the alias")
        self.patterns = compiled(settings)
        self.sections: dict[str, tuple[tuple[str, Template], ...]] = {
            section: tuple((text, compile_template(text)) for text in getattr(settings, section))
            for section in SECTIONS
        }
        """By section, each text and what was made of it."""
        self.definitions = definitions(settings)
        self.defines = bool(settings.variables or settings.conditions)
        self.keep_until = 0.0 if self.definitions.by_asker else FOREVER

    async def answer(self, query: Query) -> Answer:
        zone = longest_match(self.zones, query.name)
        if zone is None or not self._concerns(query):
            return await self.next(query)
        name = to_text(query.name)
        for pattern in self.patterns:
            if groups := pattern.search(name):
                try:
                    data = self._data(query, zone, pattern, groups)
                    return await self._matched(query, data)
                except (ExpressionError, TemplateError) as error:
                    text = f"template: {error}"[:MAX_REASON]
                    return replace(_failure(query, text), failure=text, keep_until=0.0)
        return await self._pass_on(query)

    async def _matched(self, query: Query, data: ClientFields) -> Answer:
        """Raises ``ExpressionError`` and ``TemplateError``."""
        if not self._holds(query, data):
            return self._kept(await self._pass_on(query))
        matches = self._counted(Answer(plugin=NAME), families.TEMPLATE_MATCHES, data)
        return await self._say(query, data, matches)

    def _counted(self, answer: Answer, family: Family, data: Fields, *more: str) -> Answer:
        # As with the peer "" for what has no name: whoever asks chooses it, and would make series.
        rclass = data["Class"] if data["Class"] in Class.__members__ else ""
        rtype = data["Type"] if data["Type"] in Type.__members__ else ""
        labels = (self.context.server, data["Zone"], "", rclass, rtype, *more)
        return counted(answer, self.context.metrics, family, *map(str, labels))

    async def _pass_on(self, query: Query) -> Answer:
        if self.settings.fallthrough.covers(query.name):
            return await self.next(query)
        return _failure(query, "no pattern of template matches the name, nor is there fallthrough")

    def _kept(self, answer: Answer) -> Answer:
        """What came out differently because of an expression may be so for this asker alone."""
        return replace(answer, keep_until=min(answer.keep_until, self.keep_until))

    def _concerns(self, query: Query) -> bool:
        qclass, qtype = self.settings.qclass, self.settings.qtype
        any_class = Class.ANY in {qclass, query.qclass}
        any_type = Type.ANY in {qtype, query.qtype}
        return (any_class or qclass == query.qclass) and (any_type or qtype == query.qtype)

    def _holds(self, query: Query, data: Fields) -> bool:
        """Whether all conditions are true; variables come into ``data``. Raises ``ExpressionError``."""
        if not self.defines:
            return True
        groups = {key: str(value) for key, value in cast("Fields", data["Group"]).items()}
        env = Env(query, self.context.metadata, groups)
        data["Var"] = env.variables
        for name, expression in self.definitions.variables:
            env.variables[name] = expression(env)
        return all(expression(env) is True for expression in self.definitions.conditions)

    async def _say(self, query: Query, data: ClientFields, matches: Answer) -> Answer:
        if self.settings.rcode == Rcode.SERVFAIL:
            answer = _failure(query, "the configuration says so (template)")
            return replace(answer, replayed=matches.replayed)
        answer = replace(
            matches,
            rcode=self.settings.rcode,
            authority=self._records("authority", data),
            additional=self._records("additional", data),
            keep_until=self.keep_until,
        )
        if self.settings.error and query.wants_reason:
            answer = replace(answer, errors=(self.settings.error,))
        records = self._records("answer", data)
        for one in records:
            answer = replace(answer, answer=(*answer.answer, one))
            if one.rtype == Type.CNAME and follows(query.qtype) and not _has_target(records, one):
                answer = await self.aliases.follow(query, answer, (one,))
        if data.read:
            answer = replace(answer, keep_until=0.0)
        return answer if _fits(query, answer) else _other_class(query, answer)

    def _records(self, section: str, data: Fields) -> tuple[Record, ...]:
        """Raises ``TemplateError``."""
        found = []
        for text, template in self.sections[section]:
            failed = families.TEMPLATE_FAILURES
            try:
                made = template.execute(data)
                failed = families.TEMPLATE_RECORD_FAILURES
                found.append(record(made))
            except TemplateError:
                self._counted(Answer(), failed, data, section, text)
                raise
        return tuple(found)

    def _data(self, query: Query, zone: Name, pattern: Pattern, groups: list[str]) -> ClientFields:
        qclass = query.qclass if query.qclass != Class.ANY else self.settings.qclass
        qtype = query.qtype if query.qtype != Type.ANY else self.settings.qtype
        asked = wire_to_text(query.spelling or query.qname)
        read: set[str] = set()
        of_question = Fields(Name=asked, Qtype=query.qtype, Qclass=query.qclass)
        question = ClientFields(of_question, _OF_QUESTION, read)
        fields = Fields(
            Zone=to_text(zone),
            Name=to_text(query.name),
            Regex=pattern.text,
            Match=groups,
            Group=pattern.named(groups),
            Class=class_name(qclass),
            Type=type_name(qtype),
            Message=ClientFields(_message(query, question), _OF_MESSAGE, read),
            Question=question,
            Remote=query.client,
            Var={},
            Meta=lambda label: self.context.metadata(query, str(label)),
        )
        return ClientFields(fields, _BY_CLIENT, read)


def _message(query: Query, question: Fields) -> Fields:
    return Fields(
        Id=query.message_id,
        Opcode=query.opcode,
        RecursionDesired=query.recursion_desired,
        CheckingDisabled=bool(query.flags & Flag.CD),
        AuthenticatedData=bool(query.flags & Flag.AD),
        Question=[question],
    )


def _has_target(records: tuple[Record, ...], alias: Record) -> bool:
    """Whether the template itself has the records of an alias's target."""
    target = alias.rdata.lower()
    return any(each.owner.lower() == target for each in records if each is not alias)


def _fits(query: Query, answer: Answer) -> bool:
    """Whether all records have the class that was asked for."""
    records = (*answer.answer, *answer.authority, *answer.additional)
    return query.qclass == Class.ANY or all(each.rclass == query.qclass for each in records)


def _other_class(query: Query, answer: Answer) -> Answer:
    text = f"the template makes no records of class {class_name(query.qclass)}"
    return replace(
        answer,
        rcode=Rcode.REFUSED,
        answer=(),
        authority=(),
        additional=(),
        authoritative=False,
        errors=because(query, ErrorCode.OTHER, text),
    )


def _failure(query: Query, text: str) -> Answer:
    errors = because(query, ErrorCode.OTHER, text)
    return Answer(Rcode.SERVFAIL, authoritative=False, errors=errors, plugin=NAME)
