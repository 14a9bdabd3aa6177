"""Time-outs of one length: when they come, how many at once, and that nothing is left of them."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import Iterator

import pytest

from kdns.config.addresses import Address
from kdns.metrics import Metrics
from kdns.upstream.client import Target, UpstreamError
from kdns.upstream.deadlines import AT_ONCE, Deadlines
from kdns.upstream.pool import Pool
from kdns.upstream.upstream import Options
from kdns.wire.constants import Type
from kdns.wire.message import Query
from kdns.wire.names import from_text, wire_from_text

QUESTIONS = 40


async def test_what_ends_in_time_is_given() -> None:
    assert await Deadlines(5).within(asyncio.sleep(0, "done")) == "done"


async def test_an_error_is_raised_as_it_is() -> None:
    async def fail() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await Deadlines(5).within(fail())


async def test_what_takes_too_long_is_cancelled_not_before() -> None:
    loop, forever = asyncio.get_running_loop(), asyncio.Event()
    started = loop.time()
    with pytest.raises(TimeoutError):
        await Deadlines(0.05).within(forever.wait())
    assert loop.time() - started >= 0.05


async def test_one_that_ended_does_not_keep_others_from_their_time() -> None:
    deadlines, forever = Deadlines(0.05), asyncio.Event()
    await deadlines.within(asyncio.sleep(0))
    for _ in range(2):
        with pytest.raises(TimeoutError):
            await deadlines.within(forever.wait())


async def test_a_cancellation_from_outside_stays_one() -> None:
    task = asyncio.ensure_future(Deadlines(5).within(asyncio.Event().wait()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_burst_is_ended_a_few_per_turn_of_the_loop() -> None:
    deadlines, forever = Deadlines(0.05), asyncio.Event()
    ended = 0
    each_turn = []

    async def wait() -> None:
        nonlocal ended
        with pytest.raises(TimeoutError):
            await deadlines.within(forever.wait())
        ended += 1

    tasks = [asyncio.ensure_future(wait()) for _ in range(10 * AT_ONCE)]
    while ended < len(tasks):
        before = ended
        await asyncio.sleep(0)
        each_turn.append(ended - before)
    assert max(each_turn) <= AT_ONCE
    await asyncio.gather(*tasks)


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
