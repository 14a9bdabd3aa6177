"""The addresses that are listened on, each with its sockets and its kept replies.

Plain DNS has a UDP and a TCP socket, DNS over TLS one TCP socket.

Sockets outlive a reload: an address that stays gets its new responder between two questions.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import Final

from msgspec.structs import replace

from kdns.answers.repeats import Repeats
from kdns.answers.reply_cache import ReplyCache
from kdns.answers.responder import Responder
from kdns.config.tree import ConfigError
from kdns.derivation.observed import Tap
from kdns.listeners import tcp, tls, udp
from kdns.metrics.meters import origin_of
from kdns.server.generation import Generation
from kdns.server.sites import Site
from kdns.wire.message import Key, Reply, Respond, Transport

logger: Final = logging.getLogger("kdns.server")

_CHOICES: Final = 8
"""How often the system may choose: a port that is free for UDP may be taken for TCP."""

_NO_SUCH_FAMILY: Final = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})


class Endpoint:
    """One address. Its cached replies are its responder's: with another one, all are removed."""

    def __init__(self, site: Site, generation: Generation, shared_port: bool) -> None:
        self.site, self.shared_port = site, shared_port
        self.udp: udp.UdpListener | None = None
        self.cache = ReplyCache()
        self.repeats: dict[Transport, Repeats]
        self.tcp: tcp.TcpListener
        if site.scheme == "tls":
            self.repeats = {"tls": Repeats(self.cache, origin_of("tls", site.host), is_stream=True)}
            certificate = generation.certificates[site]
            self.tcp = tls.TlsListener(self.repeats["tls"], self.respond, certificate)
        else:
            self.repeats = {
                "udp": Repeats(self.cache, origin_of("udp", site.host)),
                "tcp": Repeats(self.cache, origin_of("tcp", site.host), is_stream=True),
            }
            self.tcp = tcp.TcpListener(self.repeats["tcp"], self.respond)
        self.responder: Responder
        self._respond: Respond
        self.use(generation)

    def use(self, generation: Generation, tap: Tap | None = None) -> None:
        """Answer by this one from now on; ``tap`` sees each question."""
        self.responder = responder = generation.responders[self.site]
        if isinstance(self.tcp, tls.TlsListener):
            self.tcp.credentials = generation.certificates[self.site]
        responder.cache = self.cache
        responder.address = (self.site.host, self.address.port)
        self.cache.clear()
        self.watch(tap)

    def watch(self, tap: Tap | None) -> None:
        """Let each question be seen by ``tap``, or by nobody."""
        respond = self.responder.respond
        self._respond = tap.respond(respond, self.repeats) if tap else respond
        if tap:
            self.cache.cover()
        else:
            self.cache.uncover()

    def respond(
        self, data: bytes, client: str, port: int, transport: Transport, local: str
    ) -> Reply:
        return self._respond(data, client, port, transport, local)

    async def open(self) -> None:
        """Bind all sockets to one port. Raises ``OSError`` when the address cannot be had."""
        for _ in range(_CHOICES if self.site.port == 0 else 0):
            try:
                return await self._open()
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
        return await self._open()

    async def _open(self) -> None:
        with ExitStack() as undo:
            port = self.site.port
            if self.site.scheme == "dns":
                self.udp = await udp.listen(
                    self.site.host,
                    port,
                    lambda: udp.UdpListener(self.repeats["udp"], self.respond),
                    self.shared_port,
                )
                undo.callback(self.udp.close)
                port = self.udp.port
            sock = tcp.bind(self.site.host, port, self.shared_port)
            undo.callback(sock.close)
            await self.tcp.start(sock)
            undo.pop_all()
        self.responder.address = (self.site.host, self.address.port)

    @property
    def address(self) -> Site:
        """Where it listens: the port that the system chose, if 0 was asked for."""
        return Site(self.site.host, self.tcp.port or self.site.port, self.site.scheme)

    async def drain(self, seconds: float) -> int:
        """Answer what was asked, at most so long, and close; return how many were cut off."""
        cut = 0
        if self.udp is not None:
            cut = await self.udp.drain(seconds)
            self.udp.close()
        return cut + await self.tcp.drain(seconds)


class Sockets:
    """All addresses in use. With ``shared_port`` other processes can bind them too."""

    def __init__(self, *, shared_port: bool = False) -> None:
        self._shared_port = shared_port
        self._endpoints: dict[Site, Endpoint] = {}
        self._tap: Tap | None = None

    def __iter__(self) -> Iterator[Endpoint]:
        return iter(self._endpoints.values())

    async def open(self, generation: Generation) -> list[Endpoint]:
        """Bind what is not there yet, without answering for the others by the new one already.

        Raises ``ConfigError`` for an address that cannot be had; then nothing has changed.
        """
        opened: list[Endpoint] = []
        try:
            for site in generation.responders:
                if site not in self._endpoints:
                    endpoint = Endpoint(site, generation, self._shared_port)
                    if await self._open(endpoint, generation.responders):
                        opened.append(endpoint)
        except BaseException:
            await self._close(opened)
            raise
        return opened

    async def _open(self, endpoint: Endpoint, sites: Iterable[Site]) -> bool:
        try:
            await endpoint.open()
        except OSError as error:
            site = endpoint.site
            both = site.host == "::" and replace(site, host="0.0.0.0") in sites
            if both and error.errno in _NO_SUCH_FAMILY:
                logger.info("no IPv6 here: listening on IPv4 alone")
                return False
            hint = ""
            if error.errno == errno.EACCES and site.port < 1024:
                hint = " (ports below 1024 need root or CAP_NET_BIND_SERVICE)"
            if error.errno == errno.EADDRINUSE:
                hint = " (another program listens there: end it, or choose another port)"
            reason = f"cannot listen on {site}: {error.strerror or error}{hint}"
            raise ConfigError(reason) from error
        return True

    async def commit(self, opened: Iterable[Endpoint], generation: Generation) -> list[Endpoint]:
        """Answer by this one, on its addresses and no others; return what was closed."""
        before = self._endpoints
        known = before | {endpoint.site: endpoint for endpoint in opened}
        self._endpoints = {site: known[site] for site in generation.responders if site in known}
        for endpoint in self._endpoints.values():
            endpoint.use(generation, self._tap)
        closed = [e for site, e in before.items() if site not in self._endpoints]
        await self._close(closed)
        return closed

    async def _close(self, endpoints: Iterable[Endpoint]) -> None:
        await asyncio.gather(*(endpoint.drain(1.0) for endpoint in endpoints))

    def drop(self, keys: Iterable[Key]) -> None:
        """Remove every cached reply that depends on one of these; some are refreshed at once."""
        keys = tuple(keys)
        for endpoint in self._endpoints.values():
            if refreshable := endpoint.cache.drop(keys):
                endpoint.responder.refresh(refreshable)

    def watch(self, tap: Tap | None) -> None:
        """Let each question be seen by ``tap``, or by nobody."""
        self._tap = tap
        for endpoint in self._endpoints.values():
            endpoint.watch(tap)

    def clear(self) -> None:
        """Remove every cached reply."""
        for endpoint in self._endpoints.values():
            endpoint.cache.clear()

    def report(self) -> None:
        """Have all hits counted."""
        for endpoint in self._endpoints.values():
            endpoint.cache.report()

    async def drain(self, seconds: float) -> int:
        """Close everything; return how many questions were cut off."""
        return sum(await asyncio.gather(*(e.drain(seconds) for e in self._endpoints.values())))
