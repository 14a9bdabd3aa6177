"""Asks our own ``/health`` every second: how long that takes shows how overloaded the process is."""

from __future__ import annotations

import asyncio
import logging
from time import perf_counter
from typing import Final

from kdns.metrics import Metrics, families

logger: Final = logging.getLogger("kdns.health")

INTERVAL: Final = 1.0  # seconds; this and the two below are the peer's
TIMEOUT: Final = 3.0  # seconds
SLOW: Final = 1.0  # seconds

REQUEST: Final = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


async def probe_forever(host: str, port: int, metrics: Metrics, interval: float = INTERVAL) -> None:
    """Until cancelled. ``host`` "" is the loopback address; ``interval`` in seconds."""
    while True:
        await asyncio.sleep(interval)
        await probe(host or "localhost", port, metrics)


async def probe(host: str, port: int, metrics: Metrics) -> None:
    """One request, counted."""
    url, started = f"http://{host}:{port}/health", perf_counter()
    try:
        async with asyncio.timeout(TIMEOUT):
            await _request(host, port)
    except (OSError, EOFError) as error:  # TimeoutError is an OSError
        metrics.count(families.HEALTH_FAILURES)
        reason = str(error) or type(error).__name__
        logger.warning('plugin/health: Local health request to "%s" failed: %s', url, reason)
    seconds = perf_counter() - started
    metrics.record(families.HEALTH_DURATION, seconds)
    if seconds > SLOW:
        logger.warning(
            'plugin/health: Local health request to "%s" took more than 1s: %.3fs', url, seconds
        )


async def _request(host: str, port: int) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(REQUEST)
        await reader.readuntil(b"\r\n")
    finally:
        writer.close()
        await writer.wait_closed()
