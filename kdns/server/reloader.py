"""Puts one configuration after another into use: the first at the start, others at each reload.

A new generation is built whole and then takes the old one's place; what cannot be used changes nothing.
Beside the core it decides about HTTP, the debug socket, the probe of ``health`` and the workers.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Final

from msgspec.structs import replace

from kdns.config import printer
from kdns.config.tree import ConfigError, Location, Option, ServerBlock
from kdns.derivation.messages import Batch
from kdns.listeners.health_probe import probe_forever
from kdns.listeners.http import HttpListener
from kdns.metrics import families
from kdns.plugins import debug, health
from kdns.server import tasks
from kdns.server.core import Core
from kdns.server.debug_socket import DebugSocket, Host
from kdns.server.errors import UNUSABLE
from kdns.server.generation import Generation
from kdns.server.pages import Pages
from kdns.server.workers import Workers
from kdns.supervisor import Service

logger: Final = logging.getLogger("kdns.server")

Load = Callable[[], tuple[ServerBlock, ...]]
Changes = Callable[[], AsyncIterator[None]]


class Reloader:
    """``load`` reads the configuration, at the start and again at each reload."""

    def __init__(
        self, load: Load, core: Core, workers: Workers, http: HttpListener, pages: Pages
    ) -> None:
        self.load = load
        self._core, self._workers, self._http, self._pages = core, workers, http, pages
        self._debug = DebugSocket(Host(self._watch, self._put_faults))
        self._faults: tuple[Option, ...] = ()
        self._digest = ""
        """Of the configuration in use."""
        self._probe: asyncio.Task[None] | None = None
        self._one_at_a_time = asyncio.Lock()
        core.metrics.read(families.RELOAD_VERSION, self._version)

    async def start(self) -> None:
        """Take the first one into use, in the workers too. Raises what is in ``UNUSABLE``."""
        blocks = self._load()
        if self._workers.size and any(key.port == 0 for block in blocks for key in block.keys):
            raise ConfigError("several workers need a port that is not 0")
        async with self._one_at_a_time:
            await self._apply(blocks)
            if self._workers.size:
                await self._workers.start(blocks)

    async def reload(self, *, if_different: bool = False) -> bool:
        """Take a new one over; on failure everything stays as it was, and that is logged."""
        async with self._one_at_a_time:
            try:
                # In a thread, for it may ask programs of the system.
                blocks = await asyncio.to_thread(self._load)
                if if_different and digest(blocks) == self._digest:
                    return True  # a comment, white space, or what failed was taken back
                await self._apply(blocks)
            except UNUSABLE as error:
                self._core.metrics.count(families.RELOAD_FAILED)
                logger.error("reload failed, going on as before: %s", error)
                return False
            self._workers.configure(blocks)
            logger.info("reloaded")
            return True

    async def follow(self, changes: Changes) -> None:
        """With the directive ``reload``, take each over that ``changes`` tells of, and at once."""
        async for _ in changes():
            if self._is_wanted:
                await self.reload(if_different=True)

    async def close(self) -> None:
        """End what was opened beside the core and the workers."""
        if self._probe is not None:
            await tasks.cancel([self._probe])
        await self._http.close()
        await self._debug.close()

    # ---- one configuration into use

    def _load(self) -> tuple[ServerBlock, ...]:
        """What the configuration says, and the faults that were set since the start."""
        blocks = self.load()
        if not self._faults:
            return blocks
        return tuple(replace(b, directives=(*b.directives, *self._faults)) for b in blocks)

    async def _apply(self, blocks: tuple[ServerBlock, ...]) -> None:
        prepared = await self._core.prepare(blocks)
        try:
            await self._debug.serve(*_debug(prepared.generation))
            await self._http.serve(self._pages.endpoints(prepared.generation))
        except ConfigError:
            await self._core.discard(prepared)
            with suppress(ConfigError):
                await self._debug.serve(*_debug(self._core.generation))
            raise
        # Nothing can fail from here on.
        self._digest = digest(blocks)
        await self._core.commit(prepared)
        await self._probe_health(prepared.generation)
        for planned in prepared.generation.plans:
            for text in planned.warnings:
                logger.warning("%s", text)

    async def _probe_health(self, generation: Generation) -> None:
        if self._probe is not None:
            await tasks.cancel([self._probe])
        address = next((s.address for s in health_settings(generation)), None)
        if address is not None:
            probing = partial(probe_forever, address.host, address.port, self._core.metrics)
            self._probe = tasks.start(self._core.supervise(Service("health", probing)))

    @property
    def _is_wanted(self) -> bool:
        generation = self._core.generation
        plans = generation.plans if generation else ()
        return any("reload" in planned.settings for planned in plans)

    def _version(self) -> list[tuple[tuple[str, ...], float]]:
        return [(("sha512", self._digest), 1)] if self._is_wanted else []

    # ---- for the debug socket

    def _watch(self, deliver: Callable[[Batch], None] | None) -> None:
        self._core.watch(deliver)
        self._workers.watch(deliver)

    async def _put_faults(self, faults: tuple[Option, ...]) -> bool:
        """Have exactly these faults beside the configuration's own; False where that fails."""
        before, self._faults = self._faults, faults
        if await self.reload():
            return True
        self._faults = before
        return False


def digest(blocks: Iterable[ServerBlock]) -> str:
    """SHA-512 of what a configuration says, however it is written."""
    text = printer.to_text(blocks)
    return hashlib.sha512(text.encode("utf-8", "surrogatepass")).hexdigest()


def _debug(generation: Generation | None) -> tuple[str, Location]:
    """Where the debug socket is to be, and who says so."""
    for planned in generation.plans if generation else ():
        settings = planned.first("debug")
        if isinstance(settings, debug.Settings) and settings.socket:
            return settings.socket, settings.directive.location
    return "", Location("")


def health_settings(generation: Generation | None) -> list[health.Settings]:
    """What the directives ``health`` say, a block at a time."""
    found = [planned.first("health") for planned in generation.plans] if generation else []
    return [settings for settings in found if isinstance(settings, health.Settings)]
