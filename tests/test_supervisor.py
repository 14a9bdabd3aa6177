"""``supervise``: whatever a feed raises is logged once, and the feed is run again until it returns."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from itertools import count, pairwise
from time import monotonic

import pytest

from kdns import supervisor
from kdns.supervisor import Service, call_all, supervise
from tests.waiting import until


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(supervisor, "SETTLED", 0.1)


def raiser(error: BaseException) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


async def run_until_returned(feed: Service) -> None:
    async with asyncio.timeout(20):
        await supervise(feed)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("File descriptor 16 is used by transport"),
        TimeoutError(),
        MemoryError(),
        RecursionError("too deep"),
        ExceptionGroup("several", [ValueError("one")]),
        asyncio.CancelledError("a library's own"),
        StopAsyncIteration(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_whatever_is_raised_is_logged_once_and_the_feed_runs_again(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    runs = count()

    async def run() -> None:
        if next(runs) < 3:
            raiser(error)()

    feed = Service("hosts /etc/hosts", run)
    await run_until_returned(feed)
    assert next(runs) == 4
    [record] = [each for each in caplog.records if each.levelno >= logging.ERROR]
    assert "hosts /etc/hosts failed, restarting" in record.message
    assert record.exc_info
    assert type(error).__name__ in feed.status.problem


async def test_pauses_grow_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "LONGEST_PAUSE", 0.08)
    times: list[float] = []

    async def run() -> None:
        times.append(monotonic())
        if len(times) < 8:
            raise ValueError("again")

    await run_until_returned(Service("x", run))
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert all(pause >= 0.04 for pause in pauses[3:]), "the longest, less its jitter"
    assert pauses[0] >= 0.005


async def test_the_state_tells_until_it_runs_well_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    broken = True

    async def run() -> None:
        if broken:
            raise ValueError("a mistake")
        await asyncio.Event().wait()

    feed = Service("hosts /etc/hosts", run)
    task = asyncio.create_task(supervise(feed))
    try:
        await until(lambda: feed.status.age(1e12))
        assert feed.status.problem == "service: internal error: ValueError: a mistake"
        broken = False
        await until(lambda: not feed.status.problem)
        assert feed.status.age(1e12) == 0
        assert "hosts /etc/hosts is running again" in caplog.text
        assert caplog.text.count("failed, restarting: ValueError: a mistake") == 1
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()


async def test_a_failure_that_comes_back_a_while_after_each_restart_is_one_incident(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "SETTLED", 0.01)
    runs = count()

    async def run() -> None:
        await asyncio.sleep(0.1)
        if next(runs) < 4:
            raise ValueError("after a while")

    await run_until_returned(Service("x", run))
    assert [each.levelname for each in caplog.records].count("ERROR") == 1


async def test_each_observer_is_called_whatever_the_others_raise() -> None:
    called: list[int] = []
    observers = [
        lambda: called.append(1),
        raiser(ValueError("first")),
        lambda: called.append(2),
        raiser(KeyError("second")),
        lambda: called.append(3),
    ]
    with pytest.raises(ExceptionGroup) as raised:
        call_all(observers)
    assert called == [1, 2, 3]
    assert len(raised.value.exceptions) == 2
    with pytest.raises(ValueError, match="first"):
        call_all(observers[:3])
