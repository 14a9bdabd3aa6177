"""A start without the API server: names answer from the snapshot, marked, until the lists come."""

from __future__ import annotations

import asyncio
import logging
import os
import stat
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

import dns.asyncquery
import dns.edns
import dns.message
import dns.rcode
import pytest
from msgspec.structs import replace

from kdns.config.access import ApiAccess
from kdns.records.snapshot import Snapshot, decode, encode
from kdns.sources import snapshots
from kdns.sources.snapshots import SnapshotFile
from tests.cluster.processes import free_dns_port, free_port
from tests.fakes.apiserver import NAMESPACES, SERVICES, SLICES, FakeApi, Stall
from tests.server.running import InProcess
from tests.server.test_lifecycle import page

WEB = "web.shop.svc.cluster.local."
NEW = "new.shop.svc.cluster.local."


class Site:
    """Where servers run, one after the other, beside an API server that comes and goes."""

    def __init__(self, folder: Path, api: FakeApi) -> None:
        self.folder, self.api = folder, api
        self.file = folder / "cache" / "dev.snapshot"
        self.port, self.ready, self.metrics = free_dns_port(), free_port(), free_port()
        self.server: InProcess | None = None

    async def start(self, options: str = "", workers: int = 1) -> None:
        text = f"""\
.:{self.port} {{
    bind 127.0.0.1
    ready localhost:{self.ready}
    prometheus localhost:{self.metrics}
    kubernetes cluster.local {{
        endpoint {self.api.url}
        snapshot {self.file}
        {options}
    }}
}}
"""
        self.server = InProcess(text, workers)
        await asyncio.wait_for(self.server.start(), 40)

    async def stop(self) -> None:
        if self.server is not None:
            await self.server.stop()
            self.server = None

    async def ask(self, name: str = WEB) -> tuple[str, str]:
        """Rcode with data, and Extended DNS Error."""
        query = dns.message.make_query(name, "A", use_edns=0, id=7)
        reply = await dns.asyncquery.udp(query, "127.0.0.1", timeout=30, port=self.port)
        data = [item.to_text() for rrset in reply.answer for item in rrset]
        errors = [o for o in reply.options if isinstance(o, dns.edns.EDEOption)]
        stale = next((o.text or "" for o in errors if o.code == dns.edns.EDECode.STALE_ANSWER), "")
        return " ".join([dns.rcode.to_text(reply.rcode()), *data]), stale

    async def until(self, expected: tuple[str, str], name: str = WEB) -> set[str]:
        """Ask until this is the answer; return all rcodes and data on the way."""
        seen = set()
        for _ in range(1500):
            found = await self.ask(name)
            seen.add(found[0])
            if found == expected:
                return seen
            await asyncio.sleep(0.02)
        pytest.fail(f"{expected} expected, it stays {found}")

    async def until_ready(self) -> None:
        """All lists have come."""
        for _ in range(1500):
            if (await page(self.ready, "/ready"))[0] == 200:
                return
            await asyncio.sleep(0.02)
        pytest.fail("still not ready")

    async def metric(self, name: str) -> str:
        _, text = await page(self.metrics, "/metrics")
        return "".join(
            line.split()[-1] for line in text.splitlines() if line.startswith(name + "{")
        )


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    async with FakeApi().run() as fake:
        fake.put(NAMESPACES, "shop")
        fake.put(SERVICES, "web", spec={"clusterIP": "10.96.0.7"})
        yield fake


@pytest.fixture
async def site(tmp_path: Path, api: FakeApi) -> AsyncIterator[Site]:
    site = Site(tmp_path, api)
    try:
        yield site
    finally:
        await site.stop()


async def saved(site: Site, seconds_ago: int = 3600) -> None:
    """Have a server save what the API server holds, and the API server gone; say so long ago."""
    await site.start()
    await site.until(("NOERROR 10.96.0.7", ""))
    await site.until_ready()
    await site.stop()
    await site.api.stop()
    change_header(site, taken_at=time.time() - seconds_ago)


def change_header(site: Site, **values: object) -> None:
    read = decode(site.file.read_bytes().splitlines(keepends=True))
    header = replace(read.header, **values)
    site.file.write_bytes(b"".join(encode(Snapshot(header, read.objects))))


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_start_without_the_api_server(
    site: Site, workers: int, caplog: pytest.LogCaptureFixture
) -> None:
    await saved(site)
    caplog.set_level(logging.INFO)
    began = time.monotonic()
    await site.start(workers=workers)
    seen = await site.until(("NOERROR 10.96.0.7", (await _stale(site))))
    assert time.monotonic() - began < 20
    assert seen <= {"SERVFAIL", "NOERROR 10.96.0.7"}
    assert "serving the snapshot of 20" in caplog.text
    status, text = await page(site.ready, "/ready")
    assert status == 503
    assert "cannot connect" in text
    assert await site.metric("kdns_snapshot_served") == "1.0"

    # Meanwhile the cluster went on; what is there now replaces the snapshot at once.
    site.api.delete(SERVICES, "web")
    site.api.put(SERVICES, "web", spec={"clusterIP": "10.96.0.8"})
    site.api.put(SERVICES, "new", spec={"clusterIP": "10.96.0.9"})
    await site.api.start()
    assert await site.until(("NOERROR 10.96.0.8", "")) <= {"NOERROR 10.96.0.7", "NOERROR 10.96.0.8"}
    await site.until(("NOERROR 10.96.0.9", ""), NEW)
    await site.until_ready()
    assert await site.metric("kdns_snapshot_served") == "0.0"
    assert "services: synced, 2 objects, in place of the snapshot" in caplog.text


async def _stale(site: Site) -> str:
    for _ in range(1500):
        found, stale = await site.ask()
        if found != "SERVFAIL" and stale:
            taken = decode(site.file.read_bytes().splitlines(keepends=True)).header.taken_at
            moment = time.strftime("%Y-%m-%dT%H:%M", time.gmtime(taken))
            assert stale.startswith(f"{site.api.url} not reached, this is the snapshot of {moment}")
            return stale
        await asyncio.sleep(0.02)
    pytest.fail(f"stale answers expected, it stays {found}")


async def test_an_api_server_that_hangs(site: Site) -> None:
    await saved(site)
    for path in (SERVICES, NAMESPACES, SLICES):
        site.api.always["list", path] = Stall()
    await site.api.start()
    await site.start()
    await site.until(("NOERROR 10.96.0.7", await _stale(site)))


async def test_the_api_server_is_there(
    site: Site, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The snapshot is not even looked at: no answer is from it."""
    monkeypatch.setattr(snapshots, "Pace", partial(snapshots.Pace, patience=60.0))
    await saved(site)
    site.api.put(SERVICES, "web", spec={"clusterIP": "10.96.0.8"})
    await site.api.start()
    await site.start()
    assert await site.until(("NOERROR 10.96.0.8", "")) <= {"SERVFAIL", "NOERROR 10.96.0.8"}
    assert "snapshot" not in caplog.text


def link_to_device(file: Path) -> None:
    file.unlink()
    file.symlink_to("/dev/zero")


REFUSED: dict[str, tuple[Callable[[Site], object], str, str]] = {
    "damaged": (
        lambda site: site.file.write_bytes(site.file.read_bytes()[:-90]),
        "",
        "damaged: Input data was truncated; starting without it",
    ),
    "something else": (
        lambda site: site.file.write_text("dear diary\n"),
        "",
        "not a snapshot of kdns; starting without it",
    ),
    "a device": (
        lambda site: link_to_device(site.file),
        "",
        "not a file; starting without it",
    ),
    "of another cluster": (
        lambda site: change_header(site, address="http://10.9.9.9:1"),
        "",
        "of http://10.9.9.9:1, not of http://127.0.0.1",
    ),
    "with other settings": (lambda _: None, "labels team=a", "taken with other settings (endpoint"),
    "none": (lambda site: site.file.unlink(), "", "no snapshot yet"),
}


@pytest.mark.parametrize(("spoil", "options", "message"), REFUSED.values(), ids=REFUSED)
async def test_what_cannot_be_served(
    site: Site,
    spoil: Callable[[Site], object],
    options: str,
    message: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    await saved(site)
    spoil(site)
    await site.start(options)
    for _ in range(1500):
        if message in caplog.text:
            break
        await asyncio.sleep(0.02)
    assert message in caplog.text
    assert (await site.ask())[0] == "SERVFAIL"


async def test_what_is_not_ours_is_not_overwritten(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.file.parent.mkdir()
    site.file.write_text("dear diary\n")
    await site.start()
    await site.until(("NOERROR 10.96.0.7", ""))
    await site.until_ready()
    await site.stop()
    assert site.file.read_text() == "dear diary\n"
    assert "not a snapshot of kdns, so it is not overwritten" in caplog.text


async def test_the_file_is_private_and_alone(site: Site) -> None:
    await saved(site)
    assert site.file.stat().st_mode & 0o777 == 0o600
    assert os.listdir(site.file.parent) == [site.file.name]


def test_what_lies_where_it_is_written_is_not_written_to(tmp_path: Path) -> None:
    """A link there might lead anywhere."""
    other = tmp_path / "other"
    other.write_text("somebody's")
    (tmp_path / f"snapshot.{os.getpid()}.new").symlink_to(other)
    file = SnapshotFile(ApiAccess(snapshot=str(tmp_path / "snapshot")))
    file.write(Snapshot(file.header(0.0, ""), {}), 0.0)
    assert other.read_text() == "somebody's"
    assert stat.S_IMODE((tmp_path / "snapshot").stat().st_mode) == 0o600
    assert file.read("") is not None
