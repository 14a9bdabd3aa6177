"""``loop``: finds upstreams that lead back here, and stops asking them.

Each upstream is asked for a name that only it is asked for; when that question comes in, it is the one
that leads back. CoreDNS ends its process then. Here the upstream is taken out, and the log says what to
do instead: mostly the stub of systemd-resolved stands in a resolv.conf that was meant for programs.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from typing import Final

from msgspec import Struct

from kdns.config.tree import Option
from kdns.plugins.interface import Context, Handler
from kdns.upstream.errors import UpstreamError
from kdns.upstream.pool import Pool
from kdns.upstream.upstream import Upstream
from kdns.wire.constants import Flag, Rcode, Type
from kdns.wire.message import Answer, Query
from kdns.wire.names import MAX_NAME, Name, from_wire, to_text, to_wire

logger: Final = logging.getLogger("kdns.loop")

TRIES: Final = 3
"""Questions to each upstream: where several processes share our address, one may miss what another
one asked."""

PATIENCE: Final = 30.0
"""Seconds in which an upstream that does not reply is tried again."""

TIMEOUT: Final = 2.0
PAUSE: Final = 1.0
"""Seconds for a reply, and between two questions to an upstream that gave none."""

STUB: Final = "127.0.0.53"
RESOLVED: Final = "/run/systemd/resolve/resolv.conf"


class Settings(Struct, frozen=True):
    """There is nothing to set."""


def parse(directive: Option) -> Settings:
    """Raises ``ConfigError``."""
    directive.none()
    directive.no_options()
    return Settings()


def wrap(settings: Settings, next_handler: Handler, context: Context) -> Handler:
    """Watch for our own questions."""
    loop = Loop(context)
    context.run(loop.run)

    async def answer(query: Query) -> Answer:
        if query.qtype == Type.HINFO and query.name in loop.sent:
            loop.caught(query)
            return Answer(Rcode.SERVFAIL, authoritative=False, keep_until=0.0, plugin="loop")
        return await next_handler(query)

    return answer


class Loop:
    """The questions that were sent out, and what came of them."""

    def __init__(self, context: Context) -> None:
        self.pools = context.pools
        self.zone = context.block.keys[0].zone if context.block.keys else ()
        self.sent: dict[Name, tuple[Pool, Upstream]] = {}

    async def run(self) -> None:
        """Ask every upstream once we are listening, which we are from now on."""
        pairs = [(pool, upstream) for pool in self.pools for upstream in pool.upstreams]
        await asyncio.gather(*(self._look(pool, upstream) for pool, upstream in pairs))

    async def _look(self, pool: Pool, upstream: Upstream) -> None:
        query = self._question()
        self.sent[query.name] = (pool, upstream)
        tries, ends = TRIES, asyncio.get_running_loop().time() + PATIENCE
        try:
            while tries and upstream in pool.upstreams:
                if await _replies(upstream, query):
                    tries -= 1
                elif asyncio.get_running_loop().time() > ends:
                    return
                else:
                    await asyncio.sleep(PAUSE)
        finally:
            del self.sent[query.name]

    def _question(self) -> Query:
        zone = to_wire(self.zone)
        label = secrets.token_hex(16)
        wire = to_wire((label,), zone) if len(zone) + 33 <= MAX_NAME else to_wire((label,))
        return Query(wire, from_wire(wire), Type.HINFO, flags=Flag.RD, transport="internal")

    def caught(self, query: Query) -> None:
        """The question came back: its upstream is asked no more."""
        pool, upstream = self.sent[query.name]
        if upstream not in pool.upstreams:
            return
        pool.remove(upstream)
        left = ", ".join(other.name for other in pool.upstreams)
        logger.error(
            "plugin/loop: upstream %s for zone %s leads back here (by %s) and is not asked any more; "
            "%s. %s",
            *(upstream.name, to_text(self.zone), query.client or "this process"),
            f"left are {left}" if left else "no upstream is left: other names fail",
            _advice(upstream),
        )


async def _replies(upstream: Upstream, query: Query) -> bool:
    try:
        async with asyncio.timeout(TIMEOUT):
            await upstream.exchange(query)
    except (UpstreamError, TimeoutError):
        return False
    return True


def _advice(upstream: Upstream) -> str:
    if upstream.target.address.host == STUB:
        return (
            "It is the stub of systemd-resolved, which asks this server in turn; "
            f"write 'forward . {RESOLVED}', or start the kubelet with --resolv-conf={RESOLVED}"
        )
    return "Name a server in 'forward' that does not ask this one"
