"""What a configuration answers, for the length of a command: without listening, or on a port of its own."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, TypeAlias

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

SILENCE: Final = 0.5
"""Seconds of waiting for an API server until somebody is told of it."""

HOPELESS: Final = 1.0
"""Seconds for which each list that is not there yet has failed, and until they are given up."""

_LOOK: Final = 0.05
"""Seconds between two looks at the lists."""

Tell: TypeAlias = Callable[[str], None]


@asynccontextmanager
async def loaded(
    blocks: Iterable[ServerBlock], patience: float, tell: Tell
) -> AsyncIterator[Generation]:
    """The configuration with all that it is made from, lists of API servers too.

    ``tell`` is given a line for people about what takes long. Raises ``ConfigError`` for what is wrong,
    for lists that all fail, and for those that are not there after ``patience`` seconds.
    """
    clusters: list[Cluster] = []
    try:
        try:
            generation = await _load(blocks, partial(_list, patience, tell), clusters)
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
    blocks: Iterable[ServerBlock],
    listed: Callable[[Cluster], Awaitable[None]],
    clusters: list[Cluster],
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
            await listed(cluster)
    return generation


async def _list(patience: float, tell: Tell, cluster: Cluster) -> None:
    cluster.start(lambda _: None)
    status, now = cluster.status, asyncio.get_running_loop().time
    began = hopeful = now()
    told = False
    while not status.synced:
        await asyncio.sleep(_LOOK)
        if not told and now() - began >= SILENCE:
            told = True
            tell(f"waiting for {status.name}: {status.problem}")
        if any(not (each.synced or each.problem) for each in status.resources.values()):
            hopeful = now()
        if now() - hopeful >= HOPELESS:
            raise ConfigError(f"{status.name}: {status.problem}; {advice(status.problem)}")
        if now() - began >= patience:
            problem = f"nothing listed within {patience:g} s: {status.problem}"
            raise ConfigError(f"{status.name}: {problem}; {advice(status.problem)}")


def advice(problem: str) -> str:
    """What to ask the API server by other means."""
    if refused := _FORBIDDEN.search(problem):
        return f"compare: kubectl auth can-i {refused[1]} {refused[2]} -A"
    return "compare: kubectl get --raw /readyz"


_FORBIDDEN: Final = re.compile(r"forbidden: cannot (list|watch) (\S+)")


def zones(generation: Generation) -> dict[Name, Iterator[Record]]:
    """The zones that it has data of, each with all its records, the SOA first."""
    found: dict[Name, Iterator[Record]] = {}
    for block in generation.blocks:
        for offer in reversed(block.context.offers):
            for zone in offer.zones():
                if (records := offer.records(zone)) is not None:
                    found.setdefault(zone, records)
    return found
