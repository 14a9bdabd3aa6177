"""How servers are asked for one name: glibc one after the other, musl all at once, Go each type by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Final

from kdns.config.addresses import Address
from kdns.stub.flavours import usable
from kdns.stub.resolver_config import ResolverConfig
from kdns.stub.steps import Step
from kdns.upstream.client import Target, ask
from kdns.upstream.errors import UpstreamError
from kdns.wire.constants import Flag, Rcode
from kdns.wire.message import Edns, Query
from kdns.wire.names import from_wire, wire_from_text
from kdns.wire.responses import Response

Report = Callable[[Step], None]


class Exchange:
    """Asks, and reports each question when it is over."""

    def __init__(self, conf: ResolverConfig, report: Report) -> None:
        self.conf, self.report = conf, report

    async def once(self, server: Address, name: str, qtype: int, patience: float) -> Step:
        """One question. EDNS goes along, so that servers can say why."""
        wire = wire_from_text(name)
        query = Query(wire, from_wire(wire), qtype, flags=Flag.RD, edns=Edns())
        started, transport = monotonic(), "tcp" if self.conf.use_tcp else "udp"
        response, problem, unreadable = None, "", list[str]()
        try:
            async with asyncio.timeout(patience):
                if transport == "udp":
                    response = await ask(server, query, report=unreadable.append)
                if response is None or response.truncated:
                    transport = "tcp"
                    response = await _over_tcp(server, query)
        except TimeoutError:
            problem = "; ".join([*unreadable[-1:], f"no reply in {patience:g} s"])
        except UpstreamError as error:
            problem = str(error).lower()
        seconds = monotonic() - started
        step = Step(
            name, qtype, server, seconds, response, problem, "tcp" if transport == "tcp" else "udp"
        )
        self.report(step)
        return step

    async def ask(self, way: str, name: str, qtypes: Sequence[int]) -> list[Step]:
        """What is known at the end of each type, asked in a library's way."""
        return await _WAYS[way](self, name, qtypes)

    async def by_server(self, name: str, qtypes: Sequence[int]) -> list[Step]:
        """glibc: both types to one server, then to the next, ``attempts`` times all around."""
        steps: list[Step] = []
        for _ in range(self.conf.attempts):
            for position, server in enumerate(self.conf.servers):
                patience = self._glibc_patience(position)
                steps = await self._both(server, name, qtypes, patience)
                if usable(steps):
                    return await self._once_more(steps, name, patience)
        return steps

    async def _both(
        self, server: Address, name: str, qtypes: Sequence[int], patience: float
    ) -> list[Step]:
        questions = [self.once(server, name, qtype, patience) for qtype in qtypes]
        if self.conf.single_request:
            return [await question for question in questions]
        return list(await asyncio.gather(*questions))

    async def _once_more(self, steps: list[Step], name: str, patience: float) -> list[Step]:
        """Of two questions one was not answered: res_send.c asks again, one after the other."""
        if all(step.response for step in steps) or self.conf.single_request:
            return steps
        return [await self.once(step.server, name, step.qtype, patience) for step in steps]

    def _glibc_patience(self, position: int) -> float:
        """res_send.c: doubled for each further server, and shared among them."""
        if not position:
            return float(self.conf.timeout)
        return float(max((self.conf.timeout << position) // len(self.conf.servers), 1))

    async def all_at_once(self, name: str, qtypes: Sequence[int]) -> list[Step]:
        """musl: every server and type together; the first NOERROR or NXDOMAIN counts."""
        return list(await asyncio.gather(*(self._race(name, qtype) for qtype in qtypes)))

    async def _race(self, name: str, qtype: int) -> Step:
        tasks = {asyncio.create_task(self._insist(s, name, qtype)) for s in self.conf.servers}
        last: Step | None = None
        try:
            while tasks:
                done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    last = task.result()
                    if last.rcode in _ACCEPTED:
                        return last
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        assert last is not None, "there is a server"
        return last

    async def _insist(self, server: Address, name: str, qtype: int) -> Step:
        """Again every ``timeout / attempts`` seconds, and at once after the first SERVFAILs.

        What is neither NOERROR nor NXDOMAIN is no answer to musl: it waits until the time is over.
        """
        end = monotonic() + self.conf.timeout
        interval = self.conf.timeout / self.conf.attempts
        servfails = _SERVFAIL_RETRIES
        while True:
            step = await self.once(
                server, name, qtype, min(interval, max(end - monotonic(), 0.001))
            )
            if step.rcode in _ACCEPTED:
                return step
            if step.rcode == Rcode.SERVFAIL and servfails:
                servfails -= 1
                continue
            rest = end - monotonic()
            if rest > 0:
                await asyncio.sleep(min(rest, max(interval - step.seconds, 0)))
            if end - monotonic() < 0.01:
                return step

    async def by_type(self, name: str, qtypes: Sequence[int]) -> list[Step]:
        """Go: each type goes through the servers by itself."""
        questions = [self._through(name, qtype) for qtype in qtypes]
        if self.conf.single_request:
            return [await question for question in questions]
        return list(await asyncio.gather(*questions))

    async def _through(self, name: str, qtype: int) -> Step:
        step: Step | None = None
        for _ in range(self.conf.attempts):
            for server in self.conf.servers:
                step = await self.once(server, name, qtype, self.conf.timeout)
                if step.rcode in _ACCEPTED and not step.lame:
                    return step
        assert step is not None, "there is a server, and at least one attempt"
        return step


_ACCEPTED: Final = frozenset({Rcode.NOERROR, Rcode.NXDOMAIN})
_SERVFAIL_RETRIES: Final = 2
"""musl, res_msend.c: for each type."""

_WAYS: Final = {
    "glibc": Exchange.by_server,
    "musl": Exchange.all_at_once,
    "go": Exchange.by_type,
}


async def _over_tcp(server: Address, query: Query) -> Response:
    from kdns.upstream.streams import Connections, Limits  # noqa: PLC0415 (ssl, rarely needed)

    connections = Connections(Target(server), Limits(), "", None, lambda _: None)
    try:
        return await connections.ask(query)
    finally:
        connections.close()
