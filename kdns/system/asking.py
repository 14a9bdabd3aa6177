"""Questions to name servers, many at once, each for a short while."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import Final, TypeAlias

from msgspec import Struct

from kdns.config.addresses import Address
from kdns.system.machine import printable
from kdns.upstream.client import ask
from kdns.upstream.errors import UpstreamError
from kdns.wire import names
from kdns.wire.constants import Flag, Type, rcode_name
from kdns.wire.fields import strings
from kdns.wire.message import Edns, Query

TIMEOUT: Final = 2.0
"""Seconds for each reply."""


class Question(Struct, frozen=True):
    """A name and type for one server."""

    server: Address
    name: str
    rtype: int


class Reply(Struct, frozen=True):
    """What came of it."""

    rcode: str = ""
    """``NXDOMAIN``; "" when there was no reply."""
    answered: bool = False
    """Whether there are records in the answer."""
    words: str = ""
    """Why there was no reply, or what the server says about it (RFC 8914)."""
    texts: tuple[str, ...] = ()
    """What TXT records of the answer say."""

    def __str__(self) -> str:
        return (
            f"{self.rcode} ({self.words})"
            if self.rcode and self.words
            else self.rcode or self.words
        )


Replies: TypeAlias = Mapping[Question, Reply]


def ask_all(questions: Collection[Question]) -> Replies:
    """Every question once, all at the same time. Blocking, for little more than ``TIMEOUT``."""
    return asyncio.run(_ask_all(list(dict.fromkeys(questions))))


async def _ask_all(questions: list[Question]) -> Replies:
    replies = await asyncio.gather(*map(_ask, questions))
    return dict(zip(questions, replies, strict=True))


async def _ask(question: Question) -> Reply:
    wire = names.wire_from_text(question.name.rstrip(".") + ".")
    query = Query(
        wire,
        names.from_wire(wire),
        question.rtype,
        flags=Flag.RD,
        edns=Edns(),
        transport="internal",
    )
    unreadable = list[str]()
    try:
        async with asyncio.timeout(TIMEOUT):
            response = await ask(question.server, query, report=unreadable.append)
    except TimeoutError:
        reasons = *map(printable, unreadable[-1:]), f"no reply within {TIMEOUT:g} s"
        return Reply(words="; ".join(reasons))
    except UpstreamError as error:
        return Reply(words=printable(str(error)).lower())
    texts = [error.text for error in response.errors if error.text]
    told = [b"".join(strings(r.rdata)) for r in response.answer if r.rtype == Type.TXT]
    return Reply(
        rcode_name(response.rcode),
        bool(response.answer),
        printable(texts[0]) if texts else "",
        tuple(printable(text.decode(errors="replace")) for text in told),
    )
