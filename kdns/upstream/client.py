"""One query to a name server over UDP, by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic

from msgspec import Struct

from kdns.config.addresses import Address
from kdns.upstream.errors import UpstreamError, broken
from kdns.upstream.replies import read
from kdns.upstream.sockets import Sockets
from kdns.wire.message import Query
from kdns.wire.requests import body, question
from kdns.wire.responses import Response


def _ignore(_: str) -> None:
    """Report to nobody."""


class Target(Struct, frozen=True, order=True):
    """Where an upstream is: ``10.0.0.10:53``, or ``tls://9.9.9.9%dns.quad9.net``."""

    address: Address
    """An IP address, maybe with an IPv6 scope, and the port."""
    tls: bool = False
    servername: str = ""
    """What its certificate must be for; "" for the address itself."""

    def __str__(self) -> str:
        return f"{self.address}"


async def ask(
    address: Address, query: Query, source: str = "", *, report: Callable[[str], None] = _ignore
) -> Response:
    """Send the query and wait for the reply, however long that takes. Raises ``UpstreamError``.

    What cannot be read may be forged or damaged, and the good reply may follow: ``report`` is called with
    what is wrong with it.
    """
    sockets, waiting = Sockets(address, source, count=1), _Waiting(question(query), report)
    try:
        sock, message_id, _ = sockets.send(body(query), waiting, monotonic())
        try:
            outcome = await waiting.outcome
        finally:
            sock.forget(message_id, waiting)
    finally:
        sockets.close()
    if isinstance(outcome, UpstreamError):
        raise outcome
    return outcome


class _Waiting:
    """A query that waits for its reply."""

    def __init__(self, asked: bytes, report: Callable[[str], None]) -> None:
        self.asked, self.report = asked, report
        self.outcome: asyncio.Future[Response | UpstreamError] = (
            asyncio.get_running_loop().create_future()
        )

    def received(self, data: bytes) -> None:
        reply = read(data, self.asked)
        if isinstance(reply, Response):
            self._end(reply)
        elif reply is not None:
            self.report(f"unreadable reply: {reply.reason}")

    def lost(self, error: OSError) -> None:
        self._end(broken(error))

    def _end(self, outcome: Response | UpstreamError) -> None:
        if not self.outcome.done():
            self.outcome.set_result(outcome)
