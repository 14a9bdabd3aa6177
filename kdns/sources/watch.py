"""The list and watch protocol of the Kubernetes API, over any ``Transport``.

https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes

Nothing here loops for ever, retries, sleeps or remembers: a list is a coroutine, a watch is a generator
that ends with its connection. ``watcher`` decides what comes next.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from msgspec import Struct

from kdns.records.objects import Object
from kdns.records.schema import Event, ObjectList, decode_event, decode_list, status_message
from kdns.sources.resources import Resource
from kdns.sources.transport import Reply, Transport, TransportError

GONE = 410
"""The version asked for is no longer kept, or a page's continue token has expired."""

_INITIAL_EVENTS: Final = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}


class Limits(Struct, frozen=True):
    """Seconds and sizes."""

    page: int = 500
    """Objects per page of a list; client-go's default."""
    page_bytes: int = 128 << 20
    line_bytes: int = 16 << 20
    """An object has at most 1.5 MiB in etcd; its JSON is a few times as long."""
    answer: float = 5.0
    """Until the head of a small answer: version, liveness, start of a watch."""
    list_answer: float = 30.0
    """Until the head of a page, which a busy server prepares for long; and between its pieces."""
    initial: float = 30.0
    """For a list at the start of a watch, as a whole; then it is asked for by pages."""
    quiet: float = 5.0
    """Without a byte for so long, a watch is looked after."""
    version_check: float = 30.0
    """Without a byte for so long, the collection's version is compared."""
    silence: float = 90.0
    """Without a byte for so long, a watch is taken for dead: bookmarks come about once a minute."""
    watch_at_least: float = 300.0
    watch_at_most: float = 600.0
    """The server ends a watch after a random time in between, so that load spreads after its restart."""


class RequestError(Exception):
    """The API answered with an error status."""

    def __init__(self, verb: str, status: int, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.verb = verb
        """``list`` or ``watch``, as RBAC has it."""
        self.status = status
        self.retry_after = retry_after
        """Seconds that the server asks to wait; 0 when it does not say."""


def explain(error: RequestError, resource: Resource) -> str:
    """Put a refusal into words for people."""
    what = f"cannot {error.verb} {resource.title} at the cluster scope"
    if error.status == 403:
        return f"forbidden: {what} (RBAC: list, watch)"
    if error.status == 401:
        return f"unauthorized: {what} (the credentials are not accepted)"
    return f"{what}: HTTP {error.status} {error}".rstrip()


class StreamError(Exception):
    """An answer with status 200 that is not what the protocol says."""


class Listing(Struct, frozen=True):
    """A whole collection at one version."""

    objects: tuple[Object, ...]
    version: str
    rejected: tuple[str, ...] = ()


class Opened(Struct, frozen=True):
    """The server has accepted the watch."""


class Silence(Struct, frozen=True):
    """Nothing has come for so many seconds; said again every ``Limits.quiet`` seconds."""

    seconds: float


class Watching(Struct, frozen=True):
    """How long a watch goes on, and who takes its events."""

    lifetime: float
    """Seconds after which the server is to end it."""
    take: Callable[[Event], bool]
    """Says whether to go on."""


async def fetch(transport: Transport, resource: Resource, limits: Limits) -> Listing:
    """List a collection page by page, at the most recent version.

    Raises ``TransportError``, ``RequestError`` (410: the history ran out between two pages) and
    ``StreamError``.
    """
    objects: list[Object] = []
    rejected: list[str] = []
    token = ""
    while True:
        page = await _page(transport, resource, limits, token)
        objects += page.objects
        rejected += page.rejected
        token = page.continue_token
        if not token:
            return Listing(tuple(objects), page.resource_version, tuple(rejected))


async def _page(transport: Transport, resource: Resource, limits: Limits, token: str) -> ObjectList:
    parameters = {**resource.selection(), "limit": str(limits.page)}
    if token:
        parameters["continue"] = token
    async with _request(transport, resource, "list", parameters, limits.list_answer) as reply:
        body = await _body(reply, limits)
    page = decode_list(resource.kind, body)
    if page.error:
        raise StreamError(page.error)
    return page


async def current_version(transport: Transport, resource: Resource, limits: Limits) -> str:
    """Return the collection's version now, at the price of one object.

    Without ``resourceVersion`` the answer is the most recent one (API concepts, "Semantics for get
    and list"), so it cannot be lower than anything seen before. Raises as ``fetch`` does.
    """
    parameters = {"limit": "1"}
    async with _request(transport, resource, "list", parameters, limits.answer) as reply:
        page = decode_list(resource.kind, await _body(reply, limits))
    if page.error:
        raise StreamError(page.error)
    return page.resource_version


async def alive(transport: Transport, limits: Limits) -> None:
    """Ask for a sign of life; any HTTP answer is one. Raises ``TransportError``."""
    async with transport.get("/livez", {}, limits.answer / 2):
        pass


async def stream(
    transport: Transport, resource: Resource, version: str, watching: Watching, limits: Limits
) -> AsyncGenerator[Opened | Silence]:
    """Watch from ``version`` until the server ends it, or ``watching.take`` has enough.

    Without a version it begins with a list ("Streaming lists" in the API concepts): an ADDED for each
    object, then a BOOKMARK that says so, where the server offers that.
    Events are taken within the callback that brings them. Raises ``TransportError``, ``RequestError``,
    ``StreamError`` for a line that is too long or cut off, and what ``take`` raises. What a line says
    is up to who takes it; an event without type is garbage.
    """
    parameters = {
        **resource.selection(),
        "watch": "1",
        "allowWatchBookmarks": "true",
        "timeoutSeconds": str(int(watching.lifetime)),
        **({"resourceVersion": version} if version else _INITIAL_EVENTS),
    }
    async with _request(transport, resource, "watch", parameters, limits.answer) as reply:
        yield Opened()
        lines = Lines(limits.line_bytes)
        now = asyncio.get_running_loop().time
        heard, enough = now(), False

        def receive(piece: bytes) -> None:
            nonlocal heard, enough
            heard = now()
            for line in () if enough else lines.feed(piece):
                if not watching.take(decode_event(resource.kind, line)):
                    enough = True
                    body.cancel()
                    return

        body = asyncio.ensure_future(reply.follow(receive))
        try:
            last, silent = heard, 0.0
            while not await _is_done(body, heard + silent + limits.quiet - now()):
                if heard > last:
                    last, silent = heard, 0.0
                else:
                    silent += limits.quiet
                    yield Silence(silent)
        finally:
            body.cancel()
        if not enough:
            body.result()
            lines.close()


async def _is_done(body: asyncio.Future[None], seconds: float) -> bool:
    """Whether it is, after so many seconds at the most."""
    await asyncio.wait({body}, timeout=max(seconds, 0.0))
    return body.done()


async def _next_piece(reply: Reply, seconds: float) -> bytes | None:
    """Return the next piece of the body, or None when there is none for so long."""
    try:
        async with asyncio.timeout(seconds):
            return await reply.read()
    except TimeoutError:
        return None


class Lines:
    """Cuts pieces of a stream into lines, none longer than ``limit`` bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, piece: bytes) -> list[bytes]:
        """Return the lines that end in this piece, without blank ones. Raises ``StreamError``."""
        *ended, rest = piece.split(b"\n")
        if ended:
            ended[0] = b"".join((*self._parts, ended[0]))
            self._parts.clear()
            self._size = 0
        if rest:
            self._parts.append(rest)
            self._size += len(rest)
        if self._size > self._limit:
            raise StreamError(f"a line of the watch exceeds {self._limit} bytes")
        return [line for line in ended if line.strip()]

    def close(self) -> None:
        """Say that nothing more comes. Raises ``StreamError`` when a line is not complete."""
        if self._size:
            raise StreamError("the watch ended in the middle of a line")


@asynccontextmanager
async def _request(
    transport: Transport,
    resource: Resource,
    verb: str,
    parameters: dict[str, str],
    patience: float,
) -> AsyncIterator[Reply]:
    async with transport.get(resource.path, parameters, patience) as reply:
        if reply.status != 200:
            raise RequestError(
                verb, reply.status, await _explanation(reply, patience), _retry_after(reply)
            )
        yield reply


async def _explanation(reply: Reply, patience: float) -> str:
    """Return what the body of an error says, if it says it soon and in few words."""
    body = b""
    try:
        async with asyncio.timeout(patience):
            while len(body) < 1 << 16 and (piece := await reply.read()):
                body += piece
    except (TimeoutError, TransportError):
        pass
    return status_message(body)[:500]


def _retry_after(reply: Reply) -> float:
    """The API sends seconds, never a date."""
    text = reply.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0.0


async def _body(reply: Reply, limits: Limits) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while piece := await _next_piece(reply, limits.list_answer):
        pieces.append(piece)
        size += len(piece)
        if size > limits.page_bytes:
            raise StreamError(f"a page of a list exceeds {limits.page_bytes} bytes")
    if piece is None:
        raise TransportError(f"a list stopped for {limits.list_answer:g} s")
    return b"".join(pieces)
