"""Every kind of feed with a mistake in it: ``/ready`` and metrics tell, the log once, and it runs again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import dns.asyncquery
import dns.message
import pytest

from kdns import supervisor
from kdns.listeners import health_probe
from kdns.server import pages
from kdns.server.core import Core
from kdns.server.generation import Generation
from kdns.server.sockets import Sockets
from kdns.server.workers import Workers
from kdns.sources import certificates, textfiles, watch
from kdns.sources.manifests import Manifests
from kdns.sources.snapshots import Snapshots
from kdns.sources.textfiles import TextFile
from kdns.sources.zonefiles import ZoneFiles
from kdns.upstream import secondary
from kdns.upstream.secondary import Fetched
from tests.cluster.certificates import Authority
from tests.cluster.processes import free_port
from tests.fakes.apiserver import NAMESPACES, SERVICES, FakeApi
from tests.server.running import InProcess
from tests.server.test_lifecycle import page
from tests.waiting import until

ZONE = "@ 60 IN SOA ns host 1 60 60 60 60\n@ IN NS ns\nns IN A 192.0.2.1\n"
NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(supervisor, "LONGEST_PAUSE", 0.1)
    monkeypatch.setattr(supervisor, "SETTLED", 0.3)
    monkeypatch.setattr(pages, "STALE_AFTER", 0.1)
    monkeypatch.setattr(secondary, "FIRST_RETRY", 0.1)


@dataclass(frozen=True)
class Kind:
    """A kind of feed: the directive that runs it, and the function that is going to raise."""

    directive: str
    target: tuple[object, str]
    plugin: str
    source: str
    key: str = "."


KINDS = {
    "API server": Kind(
        "kubernetes cluster.local {\nendpoint API\n}",
        (watch, "stream"),
        "kubernetes",
        'resource="services",source="API"',
    ),
    "API server: observer": Kind(
        "kubernetes cluster.local {\nendpoint API\n}",
        (Sockets, "drop"),
        "kubernetes",
        'resource="services",source="API"',
    ),
    "workers as observers": Kind(
        "kubernetes cluster.local {\nendpoint API\n}",
        (Workers, "forward"),
        "kubernetes",
        'resource="services",source="API"',
    ),
    "snapshot": Kind(
        "kubernetes cluster.local {\nendpoint API\nsnapshot FOLDER/snapshot\n}",
        (Snapshots, "_is_due"),
        "kubernetes",
        'resource="snapshot"',
    ),
    "manifests": Kind(
        "kubernetes cluster.local {\nmanifests FOLDER/manifests\n}",
        (Manifests, "refresh"),
        "kubernetes",
        'resource="services",source="manifests FOLDER/manifests"',
    ),
    "zone file": Kind(
        "file FOLDER/db.example.org example.org",
        (ZoneFiles, "_refresh"),
        "file",
        'resource="zones",source="file Corefile:1"',
    ),
    "zone folder": Kind(
        "auto example.org {\ndirectory FOLDER\nreload 1s\n}",
        (ZoneFiles, "_refresh"),
        "auto",
        'resource="zones",source="auto Corefile:1"',
    ),
    "text file": Kind(
        "hosts FOLDER/hosts {\nreload 1s\n}",
        (TextFile, "_refresh"),
        "hosts",
        'resource="text",source="hosts FOLDER/hosts"',
    ),
    "text file, as it is read": Kind(
        "hosts FOLDER/hosts {\nreload 1s\n}",
        (textfiles, "signature"),
        "hosts",
        'resource="text",source="hosts FOLDER/hosts"',
    ),
    "certificate": Kind(
        "tls FOLDER/server.crt FOLDER/server.key\nwhoami",
        (certificates, "signature"),
        "tls",
        'resource="certificate"',
        key="tls://.",
    ),
    "secondary": Kind(
        "secondary example.org {\ntransfer from 127.0.0.1:9\n}",
        (Fetched, "_look"),
        "secondary",
        'resource="service",source="secondary Corefile:1"',
    ),
    "health": Kind(
        "health 127.0.0.1:HEALTH\nwhoami",
        (health_probe, "probe"),
        "health",
        'resource="service",source="health"',
    ),
    "the server's own look": Kind(
        "whoami", (Core, "look_at_sources"), "server", 'resource="service",source="server"'
    ),
}


class Running:
    def __init__(self, kind: Kind, folder: Path, api: FakeApi) -> None:
        self.ready, self.metrics = free_port(), free_port()
        self.names = {"API": api.url, "FOLDER": str(folder), "HEALTH": str(free_port())}
        self.kind = kind
        text = f"""{kind.key}:0 {{
bind 127.0.0.1
ready localhost:{self.ready} {{
monitor continuously
}}
prometheus localhost:{self.metrics}
{self.named(kind.directive)}
}}
"""
        self.server = InProcess(text)

    def named(self, text: str) -> str:
        for name, value in self.names.items():
            text = text.replace(name, value)
        return text

    async def age(self) -> float:
        """What ``kdns_watch_age_seconds`` says of the feed."""
        _, text = await page(self.metrics, "/metrics")
        wanted = self.named(self.kind.source)
        lines = [each for each in text.splitlines() if each.startswith("kdns_watch_age_seconds{")]
        [line] = [each for each in lines if wanted in each]
        return float(line.rsplit(" ", 1)[1])

    async def is_ready(self) -> bool:
        return await page(self.ready, "/ready") == (200, "OK")

    async def is_unready(self) -> bool:
        status, text = await page(self.ready, "/ready")
        return status == 503 and "ZeroDivisionError: a mistake" in text


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates") / "pki")


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    async with FakeApi().run() as fake:
        fake.put(NAMESPACES, "shop")
        fake.put(SERVICES, "web")
        yield fake


def furnish(folder: Path, authority: Authority) -> None:
    """The files that the directives name."""
    (folder / "db.example.org").write_text(ZONE)
    (folder / "hosts").write_text("192.0.2.1 one\n")
    (folder / "manifests").mkdir()
    (folder / "manifests" / "a.yaml").write_text(NAMESPACE)
    certificate, key = authority.server("server")
    (folder / "server.crt").write_bytes(certificate.read_bytes())
    (folder / "server.key").write_bytes(key.read_bytes())


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
async def test_a_feed_that_raises_is_reported_and_runs_again(
    kind: Kind,
    api: FakeApi,
    tmp_path: Path,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    furnish(tmp_path, authority)
    running = Running(kind, tmp_path, api)
    await asyncio.wait_for(running.server.start(), 40)
    try:
        await until(running.is_ready)
        assert await running.age() == 0
        owner, name = kind.target
        with monkeypatch.context() as broken:
            broken.setattr(owner, name, _fail)
            api.end_watches()

            async def is_unready() -> bool:
                stir(api, tmp_path)
                return await running.is_unready() and await running.age() > 0

            await until(is_unready)
        stir(api, tmp_path)
        await until(running.is_ready)
        await until(lambda: _is_zero(running))
        errors = [each for each in caplog.records if each.name == "kdns.supervisor"]
        errors = [each for each in errors if each.levelno >= logging.ERROR]
        assert errors
        assert all(each.exc_info for each in errors)
        assert len(errors) == len({each.message for each in errors}), "each said once"
    finally:
        assert await running.server.stop() == 0


@pytest.mark.parametrize(
    ("owner", "name"),
    [(Generation, "forget"), (Workers, "forward")],
    ids=["a directive", "the workers"],
)
async def test_an_observer_that_raises_hides_no_change_from_the_others(
    owner: type, name: str, api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hosts").touch()
    running = Running(KINDS["API server"], tmp_path, api)
    api.put(SERVICES, "web", spec={"clusterIPs": ["10.96.1.1"]})
    await asyncio.wait_for(running.server.start(), 40)

    async def answers(address: str) -> bool:
        query = dns.message.make_query("web.shop.svc.cluster.local.", "A")
        port = running.server.endpoint.address.port
        reply = await dns.asyncquery.udp(query, "127.0.0.1", port=port, timeout=5)
        return address in reply.to_text()

    try:
        await until(lambda: answers("10.96.1.1"))
        monkeypatch.setattr(owner, name, _fail)
        api.put(SERVICES, "web", spec={"clusterIPs": ["10.96.1.2"]})
        await until(lambda: answers("10.96.1.2"))
    finally:
        assert await running.server.stop() == 0


async def _is_zero(running: Running) -> bool:
    return await running.age() == 0


def _fail(*_: object, **__: object) -> Callable[[], None]:
    raise ZeroDivisionError("a mistake")


def stir(api: FakeApi, folder: Path) -> None:
    """Have every feed see a change."""
    api.put(SERVICES, "web", spec={"clusterIPs": [f"10.96.0.{api.state.version}"]})
    text = (folder / "hosts").read_text()
    (folder / "hosts").write_text(f"{text}192.0.2.1 another\n")
