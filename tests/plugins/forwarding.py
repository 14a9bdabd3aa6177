"""A server block that asks other servers: its chain, with what runs beside it, on the running loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from time import time

from kdns.wire.message import Answer, Key
from tests.plugins.chains import Chain, question


class Block(Chain):
    """``async with Block("forward . 127.0.0.1:…") as block:`` — then ``await block.answer("a.test. A")``."""

    def __init__(self, directives: str) -> None:
        self.services: list[Callable[[], Coroutine[None, None, None]]] = []
        self.forgetful: list[Callable[[Iterable[Key]], None]] = []
        self.reports: list[Callable[[], None]] = []
        self.running: list[asyncio.Task[None]] = []
        super().__init__(". {\n" + directives + "\n}\n")

    def run(self, service: Callable[[], Coroutine[None, None, None]]) -> None:
        self.services.append(service)

    def on_change(self, forget: Callable[[Iterable[Key]], None]) -> None:
        self.forgetful.append(forget)

    def on_scrape(self, report: Callable[[], None]) -> None:
        self.reports.append(report)

    def now(self) -> float:
        return time()

    async def __aenter__(self) -> Block:
        self.running = [asyncio.ensure_future(service()) for service in self.services]
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self.running:
            task.cancel()
        await asyncio.gather(*self.running, return_exceptions=True)

    async def answer(self, text: str) -> Answer:
        return await self.handler(question(text))

    def change(self, *keys: Key) -> None:
        """Something that answers depend on is another now."""
        for forget in self.forgetful:
            forget(keys)

    def series(self, name: str) -> dict[tuple[str, ...], float]:
        """The values of a series by its labels' values."""
        for report in self.reports:
            report()
        found: dict[tuple[str, ...], float] = {}
        for metric in self.metrics.collect():
            for sample in metric.samples:
                if sample.name == name:
                    found[tuple(sample.labels.values())] = sample.value
        return found
