"""What a configuration answers, for the length of a command: without listening, or on a port of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager

from kdns.config.access import Access, ApiAccess
from kdns.config.addresses import Address
from kdns.config.tree import ConfigError, ServerBlock
from kdns.metrics import Metrics
from kdns.server.clusters import Cluster, WatchedCluster, merge
from kdns.server.core import Core
from kdns.server.errors import UNUSABLE, as_config_error
from kdns.server.generation import Generation, plan, wanted_clusters
from kdns.wire.message import Record
from kdns.wire.names import Name


@asynccontextmanager
async def loaded(blocks: Iterable[ServerBlock], patience: float) -> AsyncIterator[Generation]:
    """The configuration with all that it is made from, lists of API servers too.

    Raises ``ConfigError`` for what is wrong, or not there after ``patience`` seconds.
    """
    clusters: list[Cluster] = []
    try:
        try:
            generation = await _load(blocks, patience, clusters)
        except UNUSABLE as error:
            raise as_config_error(error) from error
        yield generation
    finally:
        for cluster in clusters:
            await cluster.stop()


@asynccontextmanager
async def serving(blocks: Iterable[ServerBlock]) -> AsyncIterator[Address]:
    """A server that follows its files, at the first of the addresses of ``blocks``; port 0 is any.

    Raises ``ConfigError``.
    """
    core = Core(_unobserved)
    try:
        try:
            await core.commit(await core.prepare(blocks))
        except UNUSABLE as error:
            raise as_config_error(error) from error
        site = next(iter(core.sockets)).address
        yield Address(site.host, site.port)
    finally:
        await core.stop(0)


def _unobserved(access: Access) -> WatchedCluster:
    return WatchedCluster(access, lambda *_: None, lambda *_: None)


async def _load(
    blocks: Iterable[ServerBlock], patience: float, clusters: list[Cluster]
) -> Generation:
    plans = plan(blocks)
    accesses = merge(wanted_clusters(plans))
    found = {base: _unobserved(access) for base, access in accesses.items()}
    clusters += found.values()
    generation = Generation(plans, found, Metrics(), lambda _: None)
    await asyncio.to_thread(generation.load_zones)
    for base, cluster in found.items():
        await cluster.open()
        if isinstance(base, ApiAccess):
            await _list(cluster, patience)
    return generation


async def _list(cluster: Cluster, patience: float) -> None:
    changed = asyncio.Event()
    cluster.start(lambda _: changed.set())
    try:
        async with asyncio.timeout(patience):
            while not cluster.status.synced:
                await changed.wait()
                changed.clear()
    except TimeoutError:
        problem = cluster.status.problem
        text = f"{cluster.status.name}: nothing listed within {patience:g} s: {problem}"
        raise ConfigError(text) from None


def zones(generation: Generation) -> dict[Name, Iterator[Record]]:
    """The zones that it has data of, each with all its records, the SOA first."""
    found: dict[Name, Iterator[Record]] = {}
    for block in generation.blocks:
        for offer in reversed(block.context.offers):
            for zone in offer.zones():
                if (records := offer.records(zone)) is not None:
                    found.setdefault(zone, records)
    return found
