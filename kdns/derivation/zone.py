"""The zone ``kdns.``: questions about questions, for plain ``dig``.

* ``NAME.explain.kdns TXT``: how the server comes to its answer to ``NAME A``, a record for each step;
  ``NAME._srv.explain.kdns`` is about another type. An underscore, since ``NAME.mx`` is a name too.
* ``whoami.kdns TXT``: who the asker is to the server.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec.structs import replace

from kdns.answers.responder import Responder
from kdns.derivation.objects import pod_at
from kdns.derivation.steps import Block, derive
from kdns.plugins.explain import Settings
from kdns.plugins.interface import Condition
from kdns.wire import rdata
from kdns.wire.constants import ErrorCode, Rcode, Type
from kdns.wire.message import Answer, Edns, Query, Record
from kdns.wire.names import Name, is_below, plain_address, skip
from kdns.wire.presentation import CONTROL_ESCAPES
from kdns.wire.reasons import because
from kdns.wire.scalars import type_number

ZONE: Final[Name] = ("kdns",)
EXPLAIN: Final[Name] = ("explain", "kdns")
WHOAMI: Final[Name] = ("whoami", "kdns")
PLUGIN: Final = "explain"

MAX_STRING: Final = 255  # octets, RFC 1035 section 3.3


class Zone:
    """Answers for ``kdns.`` on one address. ``blocks`` is who answers for what there."""

    def __init__(self, responder: Responder) -> None:
        self.responder = responder
        self.blocks: dict[tuple[Name, Condition | None], Block] = {}

    async def answer(self, query: Query) -> Answer:
        if query.qtype not in {Type.TXT, Type.ANY}:
            exists = query.name in {ZONE, WHOAMI} or is_below(query.name, EXPLAIN)
            return _negative(query, exists, "there are TXT records here and no others")
        if query.name == WHOAMI:
            return _told(query, self._asker(query))
        if not is_below(query.name, EXPLAIN) or query.name == EXPLAIN:
            exists = query.name in {ZONE, EXPLAIN}
            return _negative(query, exists, "ask for NAME.explain.kdns or whoami.kdns, type TXT")
        return await self._explain(query)

    async def _explain(self, query: Query) -> Answer:
        asked = _asked(query)
        served, _ = self.responder.find(asked)
        block = self.blocks.get((served.zone, served.view)) if served else None
        if not (block.policy if block else Settings()).allows(query.client):
            return _refused(query)
        if served is None or block is None:
            text = "no server block here is for this name: REFUSED"
            return _told(query, [text if served is None else "it is about questions itself"])
        return _told(query, await derive(self.responder, asked, served, block))

    def _asker(self, query: Query) -> list[str]:
        texts = [f"address {query.client} port {query.client_port} over {query.transport}"]
        for block in self.blocks.values():
            cluster = block.cluster()
            pod = (
                pod_at(cluster[1], cluster[0], str(plain_address(query.client))) if cluster else ""
            )
            if pod:
                texts.append(f"Pod {pod}")
                break
        if query.edns is None:
            return [*texts, "no EDNS: replies over UDP have at most 512 octets and no reasons"]
        wish = ", DNSSEC records" if query.edns.dnssec_ok else ""
        return [
            *texts,
            f"EDNS: replies over UDP have at most {query.edns.payload_size} octets{wish}",
        ]


def _asked(query: Query) -> Query:
    """The question that is asked about."""
    count = len(query.name) - len(EXPLAIN)
    qtype: int = Type.A
    if count > 1 and query.name[count - 1].startswith("_"):
        try:
            qtype = type_number(query.name[count - 1][1:])
        except ValueError:
            pass
        else:
            count -= 1
    qname = query.qname[: len(query.qname) - len(skip(query.qname, count))] + b"\0"
    return replace(
        query,
        qname=qname,
        name=query.name[:count],
        qtype=qtype,
        edns=replace(query.edns or Edns(), options=()),
        trace=[],
    )


def _told(query: Query, texts: Iterable[str]) -> Answer:
    """A record for each, numbered, since on the way records may come into another order."""
    records = tuple(
        Record(query.qname, Type.TXT, 0, rdata.strings(*_strings(f"{number} {text}")))
        for number, text in enumerate(texts, 1)
    )
    return Answer(answer=records, keep_until=0.0, plugin=PLUGIN)


def _strings(text: str) -> list[bytes]:
    """As many character strings as it takes."""
    octets = text.translate(CONTROL_ESCAPES).encode(errors="replace")
    return [octets[at : at + MAX_STRING] for at in range(0, len(octets), MAX_STRING)]


def _negative(query: Query, exists: bool, text: str) -> Answer:
    errors = because(query, ErrorCode.OTHER, text)
    rcode = Rcode.NOERROR if exists else Rcode.NXDOMAIN
    return Answer(rcode, errors=errors, keep_until=0.0, plugin=PLUGIN)


def _refused(query: Query) -> Answer:
    text = "explanations are for loopback addresses, or whom the directive explain names"
    errors = because(query, ErrorCode.PROHIBITED, text)
    return Answer(Rcode.REFUSED, authoritative=False, errors=errors, keep_until=0.0, plugin=PLUGIN)
