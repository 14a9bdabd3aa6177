"""One upstream: how it is asked, and what is noted of each attempt."""

from __future__ import annotations

import asyncio
import logging
import ssl
from time import monotonic
from typing import Final, Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from kdns.metrics import Metrics, families
from kdns.upstream import client
from kdns.upstream.client import LocalError, Target, UpstreamError
from kdns.upstream.deadlines import Deadlines
from kdns.upstream.health import Health
from kdns.upstream.probes import Check, Probe
from kdns.upstream.streams import Connections, Limits
from kdns.wire.constants import rcode_name
from kdns.wire.message import Query
from kdns.wire.responses import Response

logger: Final = logging.getLogger("kdns.upstream")

PROXY: Final = "forward"
"""Who asks, for the label ``proxy_name``."""

Policy: TypeAlias = Literal["random", "round_robin", "sequential"]


class Options(Struct, frozen=True):
    """How upstreams are asked. Times are seconds."""

    policy: Policy = "random"
    read_timeout: float = 2.0
    max_fails: int = 2
    max_connect_attempts: int | None = None
    """Attempts at one question; 0 for any number, None for two per upstream."""
    max_concurrent: int = 0
    """Exchanges at one time; 0 for ``pool.MAX_IN_FLIGHT``."""
    check: Check = Check()
    limits: Limits = Limits()
    force_tcp: bool = False
    prefer_udp: bool = False
    failfast: bool = False
    """Whether nothing is asked while all upstreams are down."""
    failover: frozenset[int] = frozenset()
    """Rcodes at which the next upstream is asked."""
    source: str = ""
    """Our address to ask from; "" for what the system chooses."""


class Upstream:
    """One of the servers of a pool."""

    def __init__(
        self, target: Target, options: Options, tls: ssl.SSLContext | None, metrics: Metrics
    ) -> None:
        self.target, self.options, self.metrics = target, options, metrics
        self.name = str(target)
        self.health = Health()
        self.deadlines = Deadlines(options.read_timeout)
        self._protocol = "tcp-tls" if target.tls else "tcp"
        self.streams = Connections(
            target, options.limits, options.source, tls if target.tls else None, self._stream_used
        )
        self.probe = Probe(self.name, self.health, options.check, options.max_fails, self._sick)

    async def ask(self, query: Query) -> Response:
        """One attempt, within ``read_timeout``. Raises ``UpstreamError``."""
        started = monotonic()
        try:
            response = await self.deadlines.within(self.exchange(query))
        except TimeoutError:
            self._failed()
            text = f"no reply in {self.options.read_timeout:g}s: i/o timeout"
            raise self._problem(query, text) from None
        except LocalError:
            raise
        except UpstreamError as error:
            self._failed()
            raise self._problem(query, str(error)) from error
        except asyncio.CancelledError:
            self.health.latency.observe(monotonic() - started)  # so long at the least
            raise
        seconds = monotonic() - started
        self.health.replied()
        self.health.latency.observe(seconds)
        labels = (PROXY, self.name, rcode_name(response.rcode))
        self.metrics.record(families.PROXY_DURATION, seconds, *labels)
        return replace(response, upstream=self.name)

    def _problem(self, query: Query, text: str) -> UpstreamError:
        """In the words of Go's library, which patterns of ``consolidate`` and readers of logs know."""
        transport = "tcp" if self._by_stream(query) else "udp"
        return UpstreamError(f"read {transport} {self.name}: {text}")

    def _by_stream(self, query: Query) -> bool:
        options = self.options
        by_tcp = query.transport in {"tcp", "tls"} and not options.prefer_udp
        return self.target.tls or options.force_tcp or by_tcp

    async def exchange(self, query: Query) -> Response:
        """Ask over the right transport; what came truncated over UDP, over TCP again."""
        options = self.options
        if self._by_stream(query):
            return await self.streams.ask(query)
        self.metrics.count(families.PROXY_OPENED, PROXY, self.name, "udp")
        response = await client.ask(self.target.address, query, options.source)
        if not response.truncated:
            return response
        try:
            return await self.streams.ask(query)
        except UpstreamError as error:
            logger.debug("%s: truncated, and no TCP: %s", self.name, error)
            return response

    def _stream_used(self, kept: bool) -> None:
        family = families.PROXY_KEPT if kept else families.PROXY_OPENED
        self.metrics.count(family, PROXY, self.name, self._protocol)

    def _failed(self) -> None:
        self.health.failed(monotonic())
        self.probe.start(self.exchange)

    def _sick(self) -> None:
        self.metrics.count(families.PROXY_CHECK_FAILURES, PROXY, self.name)

    def close(self) -> None:
        self.probe.close()
        self.streams.close()
