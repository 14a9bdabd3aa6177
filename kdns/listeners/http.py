"""HTTP for probes and scrapers: ``/health``, ``/ready``, ``/metrics``.

What the pages say is handed in. Several server blocks may name one address: it is opened once. A change
of the configuration opens and closes only what differs.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from time import monotonic
from typing import Final

from aiohttp import web
from msgspec import Struct

from kdns.config.addresses import Address
from kdns.config.tree import ConfigError, Location
from kdns.metrics import CONTENT_TYPE, Metrics
from kdns.plugins.ready import Problem

logger: Final = logging.getLogger("kdns.listeners.http")

# aiohttp logs a stack for every malformed request, so anybody could fill the log; our own pages' failures
# are caught and logged here.
_protocol_logger: Final = logging.getLogger("kdns.listeners.http.protocol")
_protocol_logger.setLevel(logging.CRITICAL)

KEEPALIVE: Final = 5.0  # seconds, as the peer
SHUTDOWN: Final = 5.0  # seconds that a request under way is given, as the peer
PATIENCE: Final = 1.0  # seconds: the time that Kubernetes gives a probe by default
LOOK: Final = 0.01  # seconds
UNAVAILABLE: Final = 503
PLAIN: Final = "text/plain; charset=utf-8"


class Page(Struct, frozen=True):
    """A reply."""

    body: bytes
    status: int = 200
    content_type: str = PLAIN


class Endpoint(Struct, frozen=True):
    """A page, where it is served, and the directive that wants it there."""

    address: Address
    path: str
    page: Callable[[], Page]
    directive: str = ""
    location: Location = Location("")


NOT_FOUND: Final = Page(b"404 page not found\n", 404)
FAILED: Final = Page(b"internal error\n", 500)


def health_page() -> Page:
    """Always well: who can answer is alive, also while it is about to stop (lameduck)."""
    return Page(b"OK")


def ready_page(problems: Iterable[Problem]) -> Page:
    """The peer's body, the names of what is not ready; then a line for each with its reason."""
    missing = list(problems)
    if not missing:
        return Page(b"OK")
    names = ",".join(dict.fromkeys(problem.plugin for problem in missing))
    reasons = [f"\n{problem.plugin}: {problem.reason}" for problem in missing if problem.reason]
    return Page("".join([names, *reasons]).encode(), UNAVAILABLE)


def metrics_page(metrics: Metrics) -> Page:
    """What Prometheus scrapes."""
    return Page(metrics.expose(), content_type=CONTENT_TYPE)


class Site:
    """An address that is listened on, and its pages by path.

    For its first ``patience`` seconds, who would be told 503 waits whether that changes.
    """

    def __init__(self, pages: dict[str, Callable[[], Page]], patience: float) -> None:
        self.pages = pages
        self._patient_until = monotonic() + patience
        server = web.Server(
            self._respond, access_log=None, logger=_protocol_logger, keepalive_timeout=KEEPALIVE
        )
        self.runner = web.ServerRunner(server, shutdown_timeout=SHUTDOWN)
        self.port = 0

    async def start(self, sockets: Sequence[socket.socket]) -> None:
        await self.runner.setup()
        for sock in sockets:
            await web.SockSite(self.runner, sock).start()
        self.port = sockets[0].getsockname()[1]

    async def _respond(self, request: web.BaseRequest) -> web.StreamResponse:
        page = self._page(request.path)
        while page.status == UNAVAILABLE and monotonic() < self._patient_until:
            await asyncio.sleep(LOOK)
            page = self._page(request.path)
        headers = {"Content-Type": page.content_type}
        response = web.Response(body=page.body, status=page.status, headers=headers)
        if page.content_type == CONTENT_TYPE:
            response.enable_compression()
        return response

    def _page(self, path: str) -> Page:
        make = self.pages.get(path)
        if make is None:
            return NOT_FOUND
        try:
            return make()
        except Exception:
            logger.exception("%s failed", path)
            return FAILED


class HttpListener:
    """All addresses that serve pages; ``held`` are sockets of those where somebody may wait already."""

    def __init__(self, held: Mapping[Address, socket.socket] | None = None) -> None:
        self.sites: dict[Address, Site] = {}
        self._held = dict(held or {})

    async def serve(self, endpoints: Iterable[Endpoint]) -> None:
        """Serve these, and nothing else from before; of two for one address and path, the first.

        Raises ``ConfigError`` at the directive whose address cannot be had; then all is as before.
        """
        wanted: dict[Address, list[Endpoint]] = {}
        for endpoint in endpoints:
            wanted.setdefault(endpoint.address, []).append(endpoint)
        opened: dict[Address, Site] = {}
        try:
            for address, group in wanted.items():
                if address not in self.sites:
                    opened[address] = await _open(group, self._held.pop(address, None))
        except ConfigError:
            await _stop(opened.values())
            raise
        closing = [site for address, site in self.sites.items() if address not in wanted]
        self.sites = {a: opened.get(a) or self.sites[a] for a in wanted}
        for address, group in wanted.items():
            self.sites[address].pages = _by_path(group)
        await _stop(closing)
        while self._held:
            self._held.popitem()[1].close()

    async def close(self) -> None:
        """Stop serving; requests under way are finished."""
        sites, self.sites = tuple(self.sites.values()), {}
        await _stop(sites)


async def _stop(sites: Iterable[Site]) -> None:
    await asyncio.gather(*(site.runner.cleanup() for site in sites))


def _by_path(endpoints: Sequence[Endpoint]) -> dict[str, Callable[[], Page]]:
    return {e.path: e.page for e in reversed(endpoints)}


async def _open(group: Sequence[Endpoint], held: socket.socket | None) -> Site:
    endpoint, site = group[0], Site(_by_path(group), PATIENCE if held else 0.0)
    try:
        if held is None:
            held = await _bind(endpoint.address)
        await site.start([held])
    except OSError as error:
        await site.runner.cleanup()
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        what = f"{endpoint.directive}: cannot listen on {endpoint.address}: {reason}"
        raise ConfigError(what, endpoint.location) from error
    return site


async def _bind(address: Address) -> socket.socket:
    """Every interface in both families for "", else the first address of the host, IPv4 before 6."""
    if not address.host:
        both = socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if both else socket.AF_INET
        return socket.create_server(("", address.port), family=family, dualstack_ipv6=both)
    found = await asyncio.get_running_loop().getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    family, _, _, _, where = min(found, key=lambda item: item[0] != socket.AF_INET)
    return socket.create_server(where[:2], family=family)
