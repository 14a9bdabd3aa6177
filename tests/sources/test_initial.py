"""Lists at the start of a watch: what makes one, and what is done where there is none."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import pytest

from kdns.records.objects import Kind, Replaced, Service
from kdns.records.schema import Event
from kdns.sources.initial import Initial, NotOffered
from kdns.sources.watch import Limits
from tests.fakes.apiserver import (
    NAMESPACES,
    SERVICES,
    SLICES,
    Answer,
    Cut,
    FakeApi,
    Fault,
    Stall,
    failure,
    line,
    list_end,
    status,
)
from tests.sources.test_watcher import HASTY, LIMITS, Running, started
from tests.waiting import until

END = Event("BOOKMARK", resource_version="9", ends_list=True)
HALF = line("ADDED", {"metadata": {"name": "a", "namespace": "shop", "resourceVersion": "11"}})


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    async with FakeApi().run() as fake:
        fake.streams = "offered"
        for name in ("a", "b", "c"):
            fake.put(SERVICES, name)
        yield fake


def verbs(api: FakeApi) -> list[str]:
    """How Services were asked for, but for the version alone (a list of one)."""
    asked = [each for each in api.requests if each.path == SERVICES]
    return [each.verb for each in asked if each.query.get("limit") != "1"]


def lists(run: Running) -> list[list[str]]:
    """The names in each list of Services that was taken for one."""
    found = [c for c in run.known.changes if isinstance(c, Replaced) and c.kind is Kind.SERVICE]
    return [[each.name for each in change.objects] for change in found]


def event(type_: str, name: str) -> Event:
    return Event(type_, Service("shop", name), "shop", name, "8", rejected=(f"{name}: odd",))


def test_objects_may_change_and_go_before_the_list_ends() -> None:
    initial = Initial(Limits())
    ended = Event("ADDED", None, "shop", "b")  # a Pod that has ended arrives without an object
    for each in (event("ADDED", "a"), event("ADDED", "b"), event("ADDED", "c"), ended):
        assert initial.take(each) is None
    assert initial.take(event("MODIFIED", "a")) is None
    assert initial.take(event("DELETED", "c")) is None
    assert initial.take(event("DELETED", "unknown")) is None
    listing = initial.take(END)
    assert listing is not None
    assert (listing.objects, listing.version) == ((Service("shop", "a"),), "9")
    assert listing.rejected[:2] == ("a: odd", "b: odd")


@pytest.mark.parametrize(
    "bookmark",
    [Event("BOOKMARK", resource_version="9"), Event("BOOKMARK", ends_list=True)],
    ids=["without the mark", "without a version"],
)
def test_an_ordinary_bookmark_ends_no_list(bookmark: Event) -> None:
    with pytest.raises(NotOffered, match="ordinary watch"):
        Initial(Limits()).take(bookmark)


def test_a_list_that_does_not_end_is_given_up() -> None:
    with pytest.raises(NotOffered, match="not complete after -1 s"):
        Initial(Limits(initial=-1)).take(event("ADDED", "a"))


async def test_the_watch_goes_on_where_its_list_ends(
    api: FakeApi, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with started(api) as run:
        await until(run.calm)
        api.put(SERVICES, "d")
        api.delete(SERVICES, "a")
        await until(lambda: run.serves("b", "c", "d"))
    assert lists(run) == [["a", "b", "c"]]
    assert verbs(api) == ["stream"]
    *_, asked = [each.query for each in api.requests if each.path == SERVICES]
    assert asked["resourceVersionMatch"] == "NotOlderThan"
    assert "resourceVersion" not in asked
    assert "services: the list came as a stream" in caplog.text


async def test_a_new_list_replaces_the_old_one_at_once(api: FakeApi) -> None:
    async with started(api) as run:
        await until(run.calm)
        await api.stop()
        api.delete(SERVICES, "a")
        api.put(SERVICES, "d")
        await run.away()
        await api.start()
        await until(lambda: run.serves("b", "c", "d"))
        await until(run.calm)
    assert lists(run) == [["a", "b", "c"], ["b", "c", "d"]]
    assert run.known.vanished == {"a"}
    assert (run.services.relists, run.services.restarts) == (1, 1)
    assert "list" not in verbs(api)


@pytest.mark.parametrize("code", [400, 403, 422])
async def test_a_server_that_refuses_is_asked_once(api: FakeApi, code: int) -> None:
    api.always["stream", SERVICES] = Answer(code, status(code, "no"))
    async with started(api) as run:
        await until(run.calm)
        api.faults["watch", SERVICES] = [Answer(410)]
        api.end_watches()
        await until(lambda: run.services.relists == 1)
        assert verbs(api).count("stream") == 1
        assert not run.services.restarts, "it was never lost"
        # What comes back after an outage may be a newer server.
        await until(run.calm)
        await api.stop()
        await run.away()
        api.always.clear()
        await api.start()
        await until(run.calm)
        assert verbs(api).count("stream") == 2
    assert lists(run) == [["a", "b", "c"]] * 3


async def test_an_ordinary_watch_is_never_taken_for_a_list(api: FakeApi) -> None:
    """Old servers ignore what they do not know; theirs falls silent after the last object."""
    api.streams = "ignored"
    async with started(api, HASTY) as run:
        await until(lambda: api.watching(SERVICES))
        api.delete(SERVICES, "a")
        await until(run.calm)
        assert run.serves("b", "c")
    assert lists(run) == [["b", "c"]]
    assert verbs(api)[:2] == ["stream", "list"]


async def test_the_bookmark_of_an_ordinary_watch_tells_at_once(
    api: FakeApi, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    api.streams = "ignored"
    async with started(api) as run:
        for path in (SERVICES, NAMESPACES, SLICES):
            await until(lambda path=path: api.watching(path))  # type: ignore[misc]
            api.bookmark(path)
        await until(run.calm)
    assert "no list as a stream (an ordinary watch came instead), so by pages" in caplog.text
    assert lists(run) == [["a", "b", "c"]]


@pytest.mark.parametrize(
    "fault",
    [
        Cut(HALF),
        Stall(),
        Stall(head=True, body=HALF),
        Answer(200, HALF),
        Answer(200, HALF + b"garbage\n" + list_end(14)),
        Answer(200, HALF[:-20]),
        Answer(200, HALF + failure(410, "too old")),
        Answer(200, HALF + failure(500, "etcdserver: request timed out")),
        Answer(429, status(429, "storage is (re)initializing")),
        Answer(500),
    ],
    ids=[
        "cut",
        "no head",
        "stalled",
        "ended",
        "garbage",
        "half a line",
        "410 as event",
        "500 as event",
        "429",
        "500",
    ],
)
async def test_what_breaks_off_is_no_list_and_pages_follow(api: FakeApi, fault: Fault) -> None:
    async with started(api, HASTY if isinstance(fault, Stall) else LIMITS) as run:
        await until(run.calm)
        api.faults["watch", SERVICES] = [Answer(410)]
        api.always["stream", SERVICES] = fault
        api.end_watches()
        await until(lambda: run.services.relists == 1)
        await until(run.calm)
        api.put(SERVICES, "d")
        await until(lambda: run.serves("a", "b", "c", "d"))
    assert lists(run) == [["a", "b", "c"]] * 2
    assert not run.known.vanished


async def test_a_passing_fault_does_not_end_streams(api: FakeApi) -> None:
    api.faults["stream", SERVICES] = [Answer(429, status(429, "storage is (re)initializing"))]
    async with started(api) as run:
        await until(run.calm)
        assert verbs(api)[:2] == ["stream", "list"]
        api.faults["watch", SERVICES] = [Answer(410)]
        api.end_watches()
        await until(lambda: run.services.relists == 1)
    assert verbs(api)[-1] == "stream"
