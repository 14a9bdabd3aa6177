"""A source against a fake API server that misbehaves: what is known stays right, and why is said."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Literal

import pytest
from msgspec.structs import replace

from kdns.config.access import ApiAccess
from kdns.records.objects import Change, Gone, Kind, Namespace, Pod, Put, Replaced, Service
from kdns.sources.apiserver import ApiServer
from kdns.sources.watch import Limits
from kdns.sources.watcher import Timing
from kdns.status import ResourceStatus, SourceStatus
from tests.fakes.apiserver import (
    NAMESPACES,
    PODS,
    SERVICES,
    SLICES,
    Answer,
    Cut,
    FakeApi,
    Stall,
    failure,
    line,
    list_end,
    status,
)
from tests.waiting import until

LIMITS = Limits(page=2, quiet=0.1, version_check=0.2)
"""Quick to look after a quiet watch, and so patient that whoever answers does so in time."""

HASTY = replace(LIMITS, answer=1, list_answer=1)
"""For an API server that does not answer."""


class Known:
    """What the changes of a source amount to."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.names: dict[Kind, set[str]] = {kind: set() for kind in Kind}
        self.vanished: set[str] = set()
        """Names that were gone at some moment."""
        self.pauses: list[float] = []

    def emit(self, change: Change) -> None:
        self.changes.append(change)
        match change:
            case Replaced(kind, objects):
                new = {each.name for each in objects}
                self.vanished |= self.names[kind] - new
                self.names[kind] = new
            case Gone(kind, _, name):
                self.vanished.add(name)
                self.names[kind].discard(name)
            case Put(object):
                self.names[_kind(object)].add(object.name)

    async def sleep(self, seconds: float) -> None:
        """Wait a tenth of the time, so that long pauses do not make tests long."""
        self.pauses.append(seconds)
        await asyncio.sleep(seconds / 10)


def _kind(item: object) -> Kind:
    return _KINDS.get(type(item), Kind.SLICE)


_KINDS: dict[type, Kind] = {Service: Kind.SERVICE, Pod: Kind.POD, Namespace: Kind.NAMESPACE}


class Running:
    """A source on a fake API server, both running."""

    def __init__(self, api: FakeApi, access: ApiAccess, limits: Limits) -> None:
        self.api = api
        self.known = Known()
        self.status = SourceStatus("test")
        timing = Timing(sleep=self.known.sleep)
        self.source = ApiServer(access, self.status, self.known.emit, limits, timing)

    @property
    def services(self) -> ResourceStatus:
        return self.status.resources["services"]

    def serves(self, *names: str) -> bool:
        return self.known.names[Kind.SERVICE] == set(names)

    async def away(self) -> None:
        """The API is stopped, and every watch has tried in vain to come back.

        One that was just being looked after is told of the end by that, and may come back to its history.
        """
        await until(
            lambda: all("refused" in each.problem for each in self.status.resources.values())
        )
        tried = len(self.known.pauses)
        await until(lambda: len(self.known.pauses) > tried + 4 * len(self.status.resources))

    def calm(self) -> bool:
        """Everything synced, connected and without a problem."""
        watched = len(self.status.resources)
        up = not self.status.problem and not self.status.age(1)
        return up and self.status.synced and self.api.watches == watched


@asynccontextmanager
async def started(
    api: FakeApi, limits: Limits = LIMITS, **access: bool | str
) -> AsyncIterator[Running]:
    running = Running(api, ApiAccess(endpoint=api.url, **access), limits)  # type: ignore[arg-type]
    task = asyncio.create_task(running.source.run())
    try:
        yield running
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    """With three Services, which makes two pages."""
    async with FakeApi().run() as fake:
        for name in ("a", "b", "c"):
            fake.put(SERVICES, name)
        yield fake


@pytest.fixture
async def run(api: FakeApi) -> AsyncIterator[Running]:
    """A source that has synced."""
    async with started(api) as running:
        await until(running.calm)
        yield running


async def test_first_list_is_one_change_and_events_follow(run: Running) -> None:
    [first] = [c for c in run.known.changes if isinstance(c, Replaced) and c.kind is Kind.SERVICE]
    assert [each.name for each in first.objects] == ["a", "b", "c"]
    run.api.put(SERVICES, "d")
    run.api.delete(SERVICES, "a")
    await until(lambda: run.serves("b", "c", "d"))
    assert run.services.relists == run.services.restarts == 0


async def test_what_is_watched_depends_on_the_settings(api: FakeApi) -> None:
    async with started(api, endpoints=False, pods=True, labels="a=b", namespace_labels="c") as run:
        await until(run.calm)
    watched = {each.path: each.query for each in api.requests if each.verb == "watch"}
    assert watched.keys() == {SERVICES, NAMESPACES, PODS}
    assert watched[SERVICES]["labelSelector"] == watched[PODS]["labelSelector"] == "a=b"
    assert watched[NAMESPACES]["labelSelector"] == "c"
    assert "Succeeded" in watched[PODS]["fieldSelector"]


async def test_a_pod_that_ends_is_gone(api: FakeApi) -> None:
    api.put(PODS, "job", status={"phase": "Running", "podIP": "10.1.0.1"})
    async with started(api, pods=True) as run:
        await until(run.calm)
        assert run.known.names[Kind.POD] == {"job"}
        api.put(PODS, "job", status={"phase": "Succeeded", "podIP": "10.1.0.1"})
        await until(lambda: not run.known.names[Kind.POD])
        assert run.known.changes[-1] == Gone(Kind.POD, "shop", "job")


async def test_a_watch_that_the_server_ends_is_resumed_without_loss(
    run: Running, caplog: pytest.LogCaptureFixture
) -> None:
    run.api.bookmark(SERVICES)
    version = str(run.api.state.version)
    run.api.end_watches()
    run.api.put(SERVICES, "d")
    await until(lambda: run.serves("a", "b", "c", "d"))
    await until(run.calm)
    resumed = [r.query["resourceVersion"] for r in run.api.requests if r.verb == "watch"]
    assert version in resumed
    assert run.services.relists == 0
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


async def test_a_broken_connection_is_resumed_without_a_list(
    run: Running, caplog: pytest.LogCaptureFixture
) -> None:
    run.api.cut_watches()
    run.api.put(SERVICES, "d")
    await until(lambda: run.serves("a", "b", "c", "d"))
    await until(run.calm)
    assert (run.services.relists, run.services.restarts) == (0, 1)
    assert "services: lost: connection broken" in caplog.text
    assert "Errno" not in caplog.text


async def test_what_changed_during_an_outage_is_replaced_at_once(
    run: Running, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await run.api.stop()
    run.api.delete(SERVICES, "a")
    run.api.put(SERVICES, "d")
    await run.away()
    assert "connection refused" in run.services.problem
    assert run.serves("a", "b", "c"), "what was known is served on"
    assert run.services.synced
    assert run.services.lost_at
    await run.api.start()
    await until(lambda: run.serves("b", "c", "d"))
    await until(run.calm)
    assert run.known.vanished == {"a"}, "nothing else was gone for a moment"
    assert (run.services.relists, run.services.restarts) == (1, 1)
    assert "services: back after" in caplog.text
    assert "relisted, 3 objects, because the API could not be reached" in caplog.text


async def test_pauses_stay_short_over_many_outages(run: Running) -> None:
    for _ in range(5):
        await run.api.stop()
        await until(lambda: run.status.age(1e12) and "refused" in run.services.problem)
        await run.api.start()
        await until(run.calm)
    assert max(run.known.pauses) <= 1


async def test_an_older_state_put_back_is_noticed_though_versions_moved_on(run: Running) -> None:
    before = run.api.snapshot()
    run.api.put(SERVICES, "lost")
    await until(lambda: run.serves("a", "b", "c", "lost"))
    await run.api.stop()
    run.api.state = before
    for number in range(5):
        run.api.put(SERVICES, f"new{number}")
    await run.away()
    await run.api.start()
    await until(lambda: run.serves("a", "b", "c", *(f"new{number}" for number in range(5))))


async def test_a_lower_version_behind_a_quiet_watch_is_noticed(
    run: Running, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    before = run.api.snapshot()
    run.api.put(SERVICES, "lost")
    await until(lambda: run.serves("a", "b", "c", "lost"))
    run.api.state = before
    await until(lambda: run.serves("a", "b", "c"))
    assert "because its version went back from 14 to 13" in caplog.text


async def test_an_event_with_a_lower_version_is_noticed(run: Running) -> None:
    old = {"metadata": {"name": "ghost", "namespace": "shop", "resourceVersion": "3"}}
    run.api.send(SERVICES, line("ADDED", old))
    await until(lambda: run.services.relists == 1)
    await until(run.calm)
    assert "ghost" not in run.known.vanished | run.known.names[Kind.SERVICE]


@pytest.mark.parametrize(
    "how",
    [
        Answer(410, status(410, "too old")),
        Answer(200, failure(410, "too old")),
        Answer(504, status(504, "Too large resource version: 99, current: 7")),
        Answer(200, failure(504, "Timeout: Too large resource version: 99")),
    ],
    ids=["410 as status", "410 as event", "504 as status", "504 as event"],
)
async def test_a_version_that_cannot_be_watched_makes_a_list(run: Running, how: Answer) -> None:
    run.api.faults["watch", SERVICES] = [how]
    run.api.end_watches()
    await until(lambda: run.services.relists == 1)
    run.api.put(SERVICES, "d")
    await until(lambda: run.serves("a", "b", "c", "d"))
    assert not run.known.vanished


async def test_a_history_that_ran_out_between_pages_starts_the_list_again(api: FakeApi) -> None:
    api.faults["list", SERVICES] = [Answer(410, status(410, "expired", "Expired"))]
    async with started(api) as run:
        await until(run.calm)
        assert run.serves("a", "b", "c")


async def test_nothing_vanishes_while_lists_fail_half_way(run: Running) -> None:
    seen = len(run.known.changes)
    run.api.faults["watch", SERVICES] = [Answer(410)]
    # The comparison of versions and the first page are proper, the second page breaks off.
    run.api.faults["list", SERVICES] = [None, None, Cut(b'{"items":[')]
    run.api.end_watches()
    await until(lambda: run.services.relists == 1)
    assert not run.api.faults["list", SERVICES]
    assert not run.known.vanished
    [change] = run.known.changes[seen:]
    assert isinstance(change, Replaced)
    assert len(change.objects) == 3


BAD_STREAMS = [
    ("garbage", b"\x00\xff garbage\n"),
    ("html", b"<html>\n"),
    ("cut line", b'{"type":"ADDED","object":{"meta'),
    ("error 500", failure(500, "etcdserver: request timed out")),
    ("error without code", line("ERROR", None)),
    ("not an object", line("ADDED", [])[:-3] + b"\n"),
]


@pytest.mark.parametrize(
    "data", [row[1] for row in BAD_STREAMS], ids=[row[0] for row in BAD_STREAMS]
)
async def test_a_bad_stream_is_resumed_once_and_then_listed(
    run: Running, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    run.api.faults["watch", SERVICES] = [Answer(200, data), Answer(200, data)]
    run.api.end_watches()
    await until(lambda: run.services.relists == 1)
    await until(run.calm)
    run.api.put(SERVICES, "d")
    await until(lambda: run.serves("a", "b", "c", "d"))
    assert not run.known.vanished
    warnings = [each for each in caplog.records if "services: lost" in each.message]
    assert len(warnings) == 1, "said once"


FAILING = {
    "410 as status": Answer(410, status(410, "too old")),
    "400": Answer(400, status(400, "invalid resource version")),
    "410 as event": Answer(200, failure(410, "too old")),
    "500 as event": Answer(200, failure(500, "etcdserver: request timed out")),
    "garbage": Answer(200, b"garbage\n"),
}


@pytest.mark.parametrize(
    ("how", "streams"),
    [
        *((how, "refused") for how in FAILING),
        *((how, "offered") for how in FAILING if FAILING[how].status == 200),
    ],
)
async def test_a_watch_that_fails_after_each_list_is_tried_ever_more_rarely(
    api: FakeApi,
    how: str,
    streams: Literal["refused", "offered"],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    api.streams = streams
    async with started(api) as run:
        await until(run.calm)
        run.known.pauses.clear()
        failing = api.always["watch", SERVICES] = FAILING[how]
        # A list as a stream goes on as the watch that fails.
        objects = b"".join(line("ADDED", each) for each in api.state.objects[SERVICES].values())
        if streams == "offered":
            listed = objects + list_end(api.state.version) + failing.body
            api.always["stream", SERVICES] = Answer(200, listed)
        api.end_watches()
        await until(lambda: max(run.known.pauses, default=0) > 4)
        assert run.serves("a", "b", "c")
        assert run.services.relists > 1
        assert run.services.lost_at
        assert run.services.problem
        lines = [each.message for each in caplog.records if each.message.startswith("services: ")]
        assert len(lines) <= 4, "synced, lost for one reason and another, relisted"
        api.always.clear()
        await until(run.calm)
        api.put(SERVICES, "d")
        await until(lambda: run.serves("a", "b", "c", "d"))
    assert not run.known.vanished


async def test_a_resumed_watch_that_is_refused_makes_a_list(run: Running) -> None:
    run.api.faults["watch", SERVICES] = [Answer(400, status(400, "invalid resource version"))]
    run.api.end_watches()
    await until(lambda: run.services.relists == 1)
    await until(run.calm)


async def test_strange_events_cost_nothing(run: Running) -> None:
    run.api.send(SERVICES, line("ADDED", None) + line("ADDED", {}) + line("SURPRISE", {}) + b"\n")
    run.api.put(SERVICES, "d", spec={"ports": [{"port": "http"}], "clusterIPs": [7]})
    await until(lambda: run.serves("a", "b", "c", "d"))
    assert run.services.relists == 0


async def test_an_unchanging_refusal_is_asked_about_rarely(run: Running) -> None:
    run.known.pauses.clear()
    run.api.always["watch", SERVICES] = Answer(200)  # ends at once, without an event
    run.api.end_watches()
    await until(lambda: max(run.known.pauses, default=0) > 4, 30)
    assert run.services.problem == "each watch ends at once"
    run.api.always.clear()
    await until(run.calm)


FORBIDDEN = Answer(403, status(403, 'services is forbidden: User "x" cannot list'))


async def test_missing_rights_are_named_and_the_others_go_on(
    api: FakeApi, caplog: pytest.LogCaptureFixture
) -> None:
    api.always["list", SLICES] = FORBIDDEN
    async with started(api) as run:
        slices = run.status.resources["endpointslices"]
        await until(lambda: slices.problem and run.services.synced)
        expected = (
            "forbidden: cannot list endpointslices.discovery.k8s.io at the cluster scope"
            " (RBAC: list, watch)"
        )
        assert slices.problem == expected
        assert run.status.problem == f"endpointslices: {expected}"
        assert not run.status.synced
        api.put(SERVICES, "d")
        await until(lambda: run.serves("a", "b", "c", "d"))
        await until(lambda: caplog.text.count("forbidden"))
        del api.always["list", SLICES]
        await until(run.calm)
        assert slices.problem == ""
    assert caplog.text.count("forbidden") == 1


async def test_missing_right_to_watch_is_named(api: FakeApi) -> None:
    api.always["watch", SERVICES] = FORBIDDEN
    async with started(api) as run:
        await until(lambda: "cannot watch services at" in run.services.problem)
        assert run.serves("a", "b", "c"), "the list is served meanwhile"


async def test_retry_after_is_honoured(run: Running) -> None:
    later = Answer(429, status(429, "too many requests"), {"Retry-After": "2"})
    run.api.faults["watch", SERVICES] = [later]
    run.known.pauses.clear()
    run.api.end_watches()
    await until(lambda: "HTTP 429 too many requests" in run.services.problem)
    await until(run.calm)
    assert 2 <= max(run.known.pauses) < 3


async def test_an_api_that_hangs_is_noticed_and_found_again(api: FakeApi) -> None:
    async with started(api, HASTY) as run:
        await until(run.calm)
        for path in (SERVICES, NAMESPACES, SLICES):
            api.always["watch", path] = api.always["list", path] = Stall()
        api.always["list", "/livez"] = Stall()
        api.state.objects[SERVICES].pop(("shop", "a"))  # its DELETED is never heard
        # First the sign of life is missed (0.2 s), then an attempt to connect (1 s).
        resources = run.status.resources.values()
        await until(lambda: all(each.problem == "no answer within 1 s" for each in resources))
        assert run.serves("a", "b", "c")
        api.always.clear()
        await until(lambda: run.serves("b", "c"))


async def test_a_silent_watch_is_given_up(api: FakeApi) -> None:
    """The API lives, but this one connection does not."""
    api.faults["watch", SERVICES] = [Stall(head=True)]
    limits = Limits(page=2, quiet=0.05, version_check=100, silence=0.3)
    known, seen = Known(), SourceStatus("test")
    source = ApiServer(
        ApiAccess(endpoint=api.url), seen, known.emit, limits, Timing(sleep=known.sleep)
    )
    task = asyncio.create_task(source.run())
    try:
        await until(lambda: api.watching(SERVICES) and seen.resources["services"].restarts == 1)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_confirmation_moves_with_bookmarks(run: Running) -> None:
    run.services.confirmed_at = 1.0
    run.api.bookmark(SERVICES)
    await until(lambda: run.services.confirmed_at > 1)


async def test_cancelling_ends_it_at_once(api: FakeApi) -> None:
    async with started(api) as run:
        await until(run.calm)
        stopping = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - stopping < 1
    await until(lambda: api.watches == 0)
