"""A small Kubernetes API server over HTTP for what the real one does not do on demand.

Lists with pages, watches with history and bookmarks; and every fault in its time: statuses, garbage,
stalls, cut connections, a history that ran out, a state put back to an older one.
"""

from __future__ import annotations

import asyncio
import copy
import json
import ssl
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from aiohttp import web

from tests.cluster.processes import free_port

Json: TypeAlias = dict[str, object]
Identity: TypeAlias = tuple[str, str]

SERVICES = "/api/v1/services"
NAMESPACES = "/api/v1/namespaces"
PODS = "/api/v1/pods"
SLICES = "/apis/discovery.k8s.io/v1/endpointslices"


@dataclass(frozen=True)
class Answer:
    """A fault: this instead of the proper answer. ``body`` is sent as it is."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Stall:
    """A fault: the head never comes, or only that and ``body``."""

    head: bool = False
    body: bytes = b""


@dataclass(frozen=True)
class Cut:
    """A fault: the connection breaks after the head and ``body``."""

    body: bytes = b""


Fault: TypeAlias = Answer | Stall | Cut


@dataclass(frozen=True)
class Request:
    verb: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]


@dataclass
class State:
    """What etcd would hold."""

    version: int = 10
    objects: dict[str, dict[Identity, Json]] = field(default_factory=lambda: defaultdict(dict))
    history: list[tuple[int, str, bytes]] = field(default_factory=list)
    """(version, path, line) of each change."""


def status(code: int, message: str = "", reason: str = "") -> bytes:
    """A v1 Status."""
    body = {"kind": "Status", "status": "Failure", "message": message, "reason": reason}
    return json.dumps({**body, "code": code}).encode()


def line(type_: str, item: object) -> bytes:
    """A line of a watch."""
    return json.dumps({"type": type_, "object": item}).encode() + b"\n"


def list_end(version: int) -> bytes:
    """The line after the last object of a list that a watch begins with."""
    mark = {"k8s.io/initial-events-end": "true"}
    return line("BOOKMARK", {"metadata": {"resourceVersion": str(version), "annotations": mark}})


def failure(code: int, message: str = "") -> bytes:
    """An ERROR line of a watch."""
    return line("ERROR", json.loads(status(code, message)))


class FakeApi:
    """One server on a free port of loopback; ``run`` starts it."""

    def __init__(self) -> None:
        self.state = State()
        self.faults: dict[tuple[str, str], list[Fault | None]] = defaultdict(list)
        """By (verb, path): what the next requests get, one each; None is the proper answer."""
        self.always: dict[tuple[str, str], Fault] = {}
        """By (verb, path): what every request gets."""
        self.streams: Literal["refused", "ignored", "offered"] = "refused"
        """What becomes of lists at the start of a watch (verb ``stream``); 1.34 and later offer them."""
        self.requests: list[Request] = []
        self.tokens: set[str] | None = None
        """Accepted values of ``Authorization``; None accepts all."""
        self.url = ""
        self.port = free_port()
        self._watches: dict[asyncio.Queue[bytes | None], tuple[str, web.Request]] = {}
        self._runner: web.AppRunner | None = None
        self._hang = asyncio.Event()

    # -- life -------------------------------------------------------------------------------------

    @asynccontextmanager
    async def run(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[FakeApi]:
        await self.start(tls)
        try:
            yield self
        finally:
            await self.stop()

    async def start(self, tls: ssl.SSLContext | None = None) -> None:
        """Listen; again on the same port after ``stop``."""
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        self._hang = asyncio.Event()
        self._runner = web.AppRunner(
            app, shutdown_timeout=0.1, access_log=None, handler_cancellation=True
        )
        await self._runner.setup()
        site = web.TCPSite(
            self._runner, "127.0.0.1", self.port, ssl_context=tls, reuse_address=True
        )
        await site.start()
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"

    async def stop(self) -> None:
        """Break all connections and stop listening."""
        self._hang.set()
        self.cut_watches()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    # -- what it holds ----------------------------------------------------------------------------

    def put(self, path: str, name: str, namespace: str = "shop", **rest: object) -> Json:
        """Create or change an object and tell the watches."""
        state = self.state
        state.version += 1
        known = (namespace, name) in state.objects[path]
        metadata = {"name": name, "namespace": namespace, "resourceVersion": str(state.version)}
        if path == NAMESPACES:
            del metadata["namespace"]
        item: Json = {**rest, "metadata": metadata}
        state.objects[path][namespace, name] = item
        self._tell(path, "MODIFIED" if known else "ADDED", item)
        return item

    def delete(self, path: str, name: str, namespace: str = "shop") -> None:
        state = self.state
        state.version += 1
        item = copy.deepcopy(state.objects[path].pop((namespace, name)))
        item["metadata"] = {**item["metadata"], "resourceVersion": str(state.version)}  # type: ignore[dict-item]
        self._tell(path, "DELETED", item)

    def snapshot(self) -> State:
        return copy.deepcopy(self.state)

    # -- what it does to watches ------------------------------------------------------------------

    @property
    def watches(self) -> int:
        return len(self._watches)

    def watching(self, path: str) -> bool:
        return any(each == path for each, _ in self._watches.values())

    def send(self, path: str, data: bytes) -> None:
        """Put bytes into the open watches of ``path``."""
        for queue, (watched, _) in self._watches.items():
            if watched == path:
                queue.put_nowait(data)

    def bookmark(self, path: str) -> None:
        self.send(
            path, line("BOOKMARK", {"metadata": {"resourceVersion": str(self.state.version)}})
        )

    def end_watches(self) -> None:
        """End them properly, as the server does after ``timeoutSeconds``."""
        for queue in self._watches:
            queue.put_nowait(None)

    def cut_watches(self) -> None:
        """Break their connections."""
        for _, request in self._watches.values():
            if request.transport is not None:
                request.transport.abort()

    # -- how it answers ---------------------------------------------------------------------------

    def _tell(self, path: str, type_: str, item: Json) -> None:
        data = line(type_, item)
        self.state.history.append((self.state.version, path, data))
        self.send(path, data)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        verb = "watch" if "watch" in request.query else "list"
        if "sendInitialEvents" in request.query:
            verb = "stream"
        self.requests.append(
            Request(verb, request.path, dict(request.query), dict(request.headers))
        )
        if self.tokens is not None and request.headers.get("Authorization") not in self.tokens:
            return web.Response(status=401, body=status(401, "Unauthorized"))
        key = (verb, request.path)
        queued = self.faults[key]
        fault = queued.pop(0) if queued else self.always.get(key)
        if fault is not None:
            return await self._misbehave(request, fault)
        if request.path == "/livez":
            return web.Response(text="ok")
        if verb == "stream" and self.streams == "refused":
            message = "sendInitialEvents: Forbidden: unless the WatchList feature gate is enabled"
            return web.Response(status=422, body=status(422, message, "Invalid"))
        return self._list(request) if verb == "list" else await self._watch(request)

    async def _misbehave(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        if isinstance(fault, Answer):
            return web.Response(status=fault.status, body=fault.body, headers=fault.headers)
        response = web.StreamResponse()
        if isinstance(fault, Cut) or fault.head:
            await response.prepare(request)
            await response.write(fault.body)
        if isinstance(fault, Stall):
            await self._hang.wait()
        if request.transport is not None:
            request.transport.abort()
        return response

    def _list(self, request: web.Request) -> web.Response:
        state = self.state
        limit = int(request.query.get("limit", "500"))
        start, version = 0, state.version
        if token := request.query.get("continue"):
            start, version = map(int, token.split("@"))
        items = list(state.objects[request.path].values())
        metadata: Json = {"resourceVersion": str(version)}
        if start + limit < len(items):
            metadata["continue"] = f"{start + limit}@{version}"
        return web.json_response({"metadata": metadata, "items": items[start : start + limit]})

    def _missed(self, request: web.Request, since: int) -> list[bytes]:
        """What a watch begins with: the changes since its version; without one, all objects."""
        if "resourceVersion" in request.query:
            history = self.state.history
            return [data for at, path, data in history if at > since and path == request.path]
        objects = [line("ADDED", item) for item in self.state.objects[request.path].values()]
        return [*objects, list_end(since)] if self.streams == "offered" else objects

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        since = int(request.query.get("resourceVersion", self.state.version))
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        for missed in self._missed(request, since):
            queue.put_nowait(missed)
        await response.prepare(request)
        self._watches[queue] = (request.path, request)
        try:
            # A version in the future: the real one waits for it without a word.
            while (data := await queue.get()) is not None:
                if since <= self.state.version:
                    await response.write(data)
        except ConnectionError:
            pass
        finally:
            del self._watches[queue]
        return response
