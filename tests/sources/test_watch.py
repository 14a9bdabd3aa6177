"""The protocol by itself: lines, pages, streams; over a transport that is a list of bytes."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdns.records.objects import Kind, Service
from kdns.records.schema import Event
from kdns.sources import watch
from kdns.sources.resources import Resource
from kdns.sources.transport import TransportError
from kdns.sources.watch import Limits, Lines, Opened, RequestError, Silence, StreamError, Watching
from tests.fakes.apiserver import SERVICES, line, status

RESOURCE = Resource(Kind.SERVICE, SERVICES, "services", label_selector="app=web")
LIMITS = Limits(quiet=0.01, list_answer=0.05, page_bytes=10_000, line_bytes=1_000)
QUIET = b"quiet"


class Scripted:
    """A ``Reply`` and the ``Transport`` that gives it: pieces in turn, ``QUIET`` for silence."""

    address = "scripted"

    def __init__(self, *pieces: bytes, status: int = 200, headers: Mapping[str, str] = {}) -> None:
        self.pieces = list(pieces)
        self.status = status
        self.headers = headers
        self.asked: list[Mapping[str, str]] = []
        self.goes_on = asyncio.Event()
        """After ``QUIET`` in what is followed."""

    async def read(self) -> bytes:
        if not self.pieces:
            return b""
        if self.pieces[0] == QUIET:
            await asyncio.Event().wait()
        return self.pieces.pop(0)

    async def follow(self, receive: Callable[[bytes], None]) -> None:
        for piece in self.pieces:
            if piece == QUIET:
                await self.goes_on.wait()
            else:
                receive(piece)

    @asynccontextmanager
    async def get(
        self, path: str, parameters: Mapping[str, str], patience: float
    ) -> AsyncIterator[Scripted]:
        assert path in {SERVICES, "/livez"}
        assert patience > 0
        self.asked.append(parameters)
        yield self


def page(*names: str, token: str = "") -> bytes:
    items = [{"metadata": {"name": name, "namespace": "shop"}} for name in names]
    return json.dumps(
        {"metadata": {"resourceVersion": "9", "continue": token}, "items": items}
    ).encode()


async def collect(transport: Scripted, enough: int = 100) -> list[object]:
    """What a watch says, in order, until so much was taken."""
    said: list[object] = []

    def take(event: Event) -> bool:
        said.append(event)
        return len(said) < enough

    watching = Watching(300, take)
    async for sign in watch.stream(transport, RESOURCE, "9", watching, LIMITS):
        said.append(sign)
        if isinstance(sign, Silence):
            transport.goes_on.set()
    return said


@given(st.lists(st.binary(max_size=20)), st.lists(st.integers(0, 200)))
def test_lines_are_the_same_however_they_are_cut(lines: list[bytes], cuts: list[int]) -> None:
    lines = [each.replace(b"\n", b"") for each in lines]
    data = b"".join(each + b"\n" for each in lines)
    places = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
    splitter = Lines(1000)
    found = [
        each for start, end in itertools.pairwise(places) for each in splitter.feed(data[start:end])
    ]
    splitter.close()
    assert found == [each for each in lines if each.strip()]


@pytest.mark.parametrize("pieces", [[b"x" * 11], [b"x" * 6, b"x" * 6]], ids=["at once", "slowly"])
def test_a_line_that_never_ends_is_refused(pieces: list[bytes]) -> None:
    splitter = Lines(10)
    *first, last = pieces
    for piece in first:
        splitter.feed(piece)
    with pytest.raises(StreamError, match="exceeds 10 bytes"):
        splitter.feed(last)


async def test_a_watch_asks_for_bookmarks_and_an_end() -> None:
    transport = Scripted()
    assert await collect(transport) == [Opened()]
    assert transport.asked == [
        {
            "labelSelector": "app=web",
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": "9",
            "timeoutSeconds": "300",
        }
    ]


async def test_events_and_silence_come_in_order() -> None:
    added = line("ADDED", {"metadata": {"name": "a", "namespace": "shop", "resourceVersion": "10"}})
    transport = Scripted(added[:20], QUIET, added[20:] + added)
    event = Event("ADDED", Service("shop", "a", selects=False), "shop", "a", "10")
    assert await collect(transport) == [Opened(), Silence(0.01), event, event]


async def test_what_comes_after_enough_is_not_taken() -> None:
    event = line("ADDED", {"metadata": {"name": "a", "namespace": "shop"}})
    said = await collect(Scripted(event * 3, event, QUIET, event), enough=3)
    assert [type(each) for each in said] == [Opened, Event, Event]


async def test_what_the_taker_raises_ends_the_watch() -> None:
    def take(event: Event) -> bool:
        raise StreamError(event.name)

    event = line("ADDED", {"metadata": {"name": "a", "namespace": "shop"}})
    signs = watch.stream(Scripted(event), RESOURCE, "9", Watching(300, take), LIMITS)
    with pytest.raises(StreamError, match="a"):
        assert [each async for each in signs] == [Opened()]


async def test_a_cut_line_is_an_error() -> None:
    with pytest.raises(StreamError, match="in the middle of a line"):
        await collect(Scripted(b'{"type":'))


async def test_error_statuses_say_what_and_when() -> None:
    transport = Scripted(status(429, "later"), status=429, headers={"Retry-After": "3"})
    with pytest.raises(RequestError, match="later") as caught:
        await collect(transport)
    assert (caught.value.verb, caught.value.status, caught.value.retry_after) == ("watch", 429, 3)


@pytest.mark.parametrize("after", ["", "soon", "-1", "Wed, 21 Oct 2015 07:28:00 GMT", "9" * 400])
async def test_a_strange_retry_after_counts_as_none(after: str) -> None:
    with pytest.raises(RequestError) as caught:
        await collect(Scripted(b"<html>", status=503, headers={"Retry-After": after}))
    assert caught.value.retry_after == 0
    assert not str(caught.value)


async def test_pages_are_put_together() -> None:
    transport = Scripted(page("a", "b", token="t"), b"", page("c"))
    listing = await watch.fetch(transport, RESOURCE, LIMITS)
    assert [getattr(each, "name", "") for each in listing.objects] == ["a", "b", "c"]
    assert listing.version == "9"
    assert [each.get("continue") for each in transport.asked] == [None, "t"]


@pytest.mark.parametrize(
    ("transport", "error", "message"),
    [
        (Scripted(b"<html>"), StreamError, "not a list of services"),
        (Scripted(b"x" * 10_001), StreamError, "exceeds 10000 bytes"),
        (Scripted(b"{", QUIET), TransportError, "stopped for 0.05 s"),
        (Scripted(status(500, "broken"), status=500), RequestError, "broken"),
    ],
    ids=["html", "endless", "stalled", "failed"],
)
async def test_a_list_that_is_none(
    transport: Scripted, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        await watch.fetch(transport, RESOURCE, LIMITS)


async def test_the_current_version_costs_one_object() -> None:
    transport = Scripted(page("a", token="more"))
    assert await watch.current_version(transport, RESOURCE, LIMITS) == "9"
    assert transport.asked == [{"limit": "1"}]
