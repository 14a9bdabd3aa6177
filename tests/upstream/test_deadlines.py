"""Deadlines of many queries: when they expire, how many at once, and that nothing is left of them."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import Iterator
from time import monotonic

import pytest

from kdns.config.addresses import Address
from kdns.metrics import Metrics
from kdns.upstream.client import Target
from kdns.upstream.deadlines import AT_ONCE, Deadlines, in_portions
from kdns.upstream.errors import UpstreamError
from kdns.upstream.pool import Pool
from kdns.upstream.upstream import Options
from kdns.wire.constants import Type
from kdns.wire.message import Query
from kdns.wire.names import from_text, wire_from_text
from tests.waiting import until

QUESTIONS = 40


class Expiring:
    """Notes what has expired, and after how many seconds."""

    def __init__(self) -> None:
        self.deadlines: Deadlines[str] = Deadlines(self.expire)
        self.expired: dict[str, float] = {}
        self.started = monotonic()

    def add(self, name: str, seconds: float) -> None:
        self.deadlines.add(name, monotonic() + seconds)

    def expire(self, name: str) -> None:
        self.expired[name] = monotonic() - self.started
        if name == "broken":
            raise LookupError


async def test_entries_expire_in_order_and_not_before_their_time() -> None:
    expiring = Expiring()
    for number in range(3):
        expiring.add(f"{number}", 0.02 * (number + 1))
    await until(lambda: len(expiring.expired) == 3)
    assert list(expiring.expired) == ["0", "1", "2"]
    assert all(
        seconds >= 0.02 * (number + 1) for number, seconds in enumerate(expiring.expired.values())
    )


async def test_one_that_was_discarded_does_not_expire_and_keeps_no_other_from_it() -> None:
    expiring = Expiring()
    for name in ("first", "second"):
        expiring.add(name, 0.02)
    expiring.deadlines.discard("first")
    expiring.deadlines.discard("unknown")
    await until(lambda: "second" in expiring.expired)
    assert "first" not in expiring.expired


async def test_one_that_is_due_already() -> None:
    expiring = Expiring()
    expiring.add("past", -1)
    await until(lambda: "past" in expiring.expired)


async def test_a_mistake_costs_no_other_its_deadline() -> None:
    raised: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: raised.append(context["exception"]))
    expiring = Expiring()
    for name in ("broken", "later"):
        expiring.add(name, 0.01)
    await until(lambda: "later" in expiring.expired)
    assert [type(error) for error in raised] == [LookupError]


async def test_a_burst_expires_a_few_per_turn_of_the_loop() -> None:
    expiring, each_turn = Expiring(), []
    for number in range(10 * AT_ONCE):
        expiring.add(f"{number}", 0.01)
    while len(expiring.expired) < 10 * AT_ONCE:
        before = len(expiring.expired)
        await asyncio.sleep(0)
        each_turn.append(len(expiring.expired) - before)
    assert max(each_turn) == AT_ONCE


async def test_many_are_notified_in_portions() -> None:
    notified: list[int] = []
    in_portions(list(range(3 * AT_ONCE)), notified.append)
    assert notified == list(range(AT_ONCE))
    await until(lambda: notified == list(range(3 * AT_ONCE)))


@pytest.fixture
def silent() -> Iterator[Target]:
    """An upstream that never replies."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as upstream:
        upstream.bind(("127.0.0.1", 0))
        yield Target(Address(*upstream.getsockname()))


async def test_failed_questions_leave_nothing_for_the_garbage_collector(silent: Target) -> None:
    """Thousands of them would else be looked at by a full collection: the half of a second."""
    pool = Pool(Options(read_timeout=0.02, max_fails=0), Metrics())
    pool.add([silent])

    async def ask(number: int) -> None:
        name = f"n{number}.test."
        with pytest.raises(UpstreamError, match="no reply"):
            await pool.ask(Query(wire_from_text(name), from_text(name), Type.A))

    async def left() -> int:
        gc.collect()
        await asyncio.gather(*[asyncio.ensure_future(ask(number)) for number in range(QUESTIONS)])
        await asyncio.sleep(0)
        return gc.collect()

    gc.disable()
    try:
        await left()  # what is made once
        assert await left() < QUESTIONS
    finally:
        gc.enable()
    pool.close()
