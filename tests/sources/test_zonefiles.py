# ruff: noqa: E501  (a table row per case reads best on one line)
"""Zone files on disk: loading, and every way in which they change under a running server."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NoReturn

import pytest

from kdns.records.zone import Zone
from kdns.sources import noticing
from kdns.sources.zone_folder import Folder, Listing, NamedFiles
from kdns.sources.zone_loading import ZoneFileError
from kdns.sources.zonefiles import ZoneFiles
from kdns.wire.message import Key
from kdns.wire.names import Name, from_text
from tests.waiting import until

DEADLINE = 30.0
NEVER = 3600.0  # longer than a test

ORIGIN = from_text("example.org")
KEY: Key = ("zone", "example.org.")
ZONES: Key = ("zones",)


def text(serial: int, more: str = "") -> str:
    return f"@ 60 SOA ns host {serial} 2 3 4 5\n@ 60 NS ns\n{more}"


@pytest.fixture(autouse=True)
def _look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """What changes before the watch begins is found by looking; a second each would add up."""
    monkeypatch.setattr(noticing, "RESCAN", 0.1)


def put(path: Path, content: str) -> None:
    """As editors and ``mv`` do it: a new file in the place of the old."""
    new = path.with_name("." + path.name + ".new")
    new.write_text(content)
    new.rename(path)


def write(path: Path, content: str) -> None:
    path.write_text(content)


def remove(path: Path) -> None:
    path.unlink()


def serial(store: ZoneFiles, name: str = "example.org") -> int | None:
    found = store.find(from_text(name))
    return found[1].serial if found and found[1] else None


@asynccontextmanager
async def running(
    listing: Listing, reload: float = NEVER
) -> AsyncIterator[tuple[ZoneFiles, list[Key]]]:
    changed: list[Key] = []
    store = ZoneFiles(listing, reload, lambda keys: changed.extend(sorted(keys)))
    store.load()
    task = asyncio.create_task(store.run())
    try:
        yield store, changed
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def master(tmp_path: Path) -> Path:
    path = tmp_path / "example.org.zone"
    path.write_text(text(1))
    return path


def named(path: Path, origin: Name = ORIGIN) -> NamedFiles:
    return NamedFiles([(origin, str(path))])


def folder(path: Path, *origins: str) -> Folder:
    return Folder(str(path), r"db\.(.*)", "{1}", tuple(map(from_text, origins)) or ((),))


async def test_a_file_put_in_place_of_another_is_noticed(master: Path) -> None:
    async with running(named(master)) as (store, changed):
        assert serial(store) == 1
        put(master, text(2))
        await until(lambda: serial(store) == 2)
        assert changed == [KEY]


async def test_a_file_written_in_place_is_noticed(master: Path) -> None:
    async with running(named(master)) as (store, _):
        write(master, text(3))
        await until(lambda: serial(store) == 3)


async def test_a_change_is_noticed_without_looking(
    master: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(noticing, "RESCAN", NEVER)
    async with running(named(master)) as (store, _), asyncio.timeout(DEADLINE):
        number = 1
        while serial(store) == 1:  # what is written before the watch begins is not noticed
            number += 1
            put(master, text(number))
            await asyncio.sleep(0.2)


async def test_a_change_is_noticed_without_a_watch(
    master: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unwatchable(*paths: str, **options: object) -> NoReturn:
        raise OSError("too many watches")

    monkeypatch.setattr(noticing, "awatch", unwatchable)
    async with running(named(master), reload=0.05) as (store, _):
        put(master, text(2))
        await until(lambda: serial(store) == 2)


async def test_content_counts_and_not_the_serial(master: Path) -> None:
    async with running(named(master)) as (store, changed):
        put(master, text(1, "www 60 A 192.0.2.1\n"))
        await until(lambda: changed == [KEY])
        assert isinstance(zone := store.zones[ORIGIN], Zone)
        assert len(zone) == 3


async def test_a_touched_file_is_no_change(master: Path) -> None:
    async with running(named(master)) as (store, changed):
        before = store.zones[ORIGIN]
        put(master, text(1))
        put(master.with_name("other"), "")
        put(master, text(1))
        put(master, text(1, "x 60 A 192.0.2.1\n"))
        await until(lambda: bool(changed))
        assert changed == [KEY]
        assert store.zones[ORIGIN] is not before


async def test_a_broken_file_leaves_the_last_good_zone(
    master: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "kdns.zonefiles")
    async with running(named(master), reload=0.05) as (store, changed):
        put(master, text(2, "www 60 A 192.0.2.300\n"))
        await until(lambda: store.failures[str(master)] == 1)
        await asyncio.sleep(0.3)  # several looks at the same broken file
        assert (serial(store), changed, store.failures[str(master)]) == (1, [], 1)
        (line,) = [r.message for r in caplog.records if r.levelno == logging.ERROR]
        assert line == (
            f"{master}:3: A: Octet 300 (> 255) not permitted in '192.0.2.300'; "
            "zone example.org. stays at serial 1"
        )
        put(master, text(1))
        await until(lambda: f"{master} is in order again" in caplog.text)
        assert changed == []
        put(master, text(3))
        await until(lambda: serial(store) == 3)


async def test_a_file_that_goes_leaves_the_zone(master: Path) -> None:
    async with running(named(master)) as (store, _):
        remove(master)
        await until(lambda: store.failures[str(master)] == 1)
        assert serial(store) == 1
        put(master, text(2))
        await until(lambda: serial(store) == 2)


async def test_an_included_file_is_watched_wherever_it_is(master: Path, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    hosts = shared / "hosts"
    hosts.write_text("a 60 A 192.0.2.1\n")
    put(master, text(1, "$INCLUDE shared/hosts\n"))
    async with running(named(master)) as (store, changed):
        put(hosts, "a 60 A 192.0.2.1\nb 60 A 192.0.2.2\n")
        await until(lambda: changed == [KEY])
        assert isinstance(zone := store.zones[ORIGIN], Zone)
        assert len(zone) == 4
        put(hosts, "b 60\n")
        await until(lambda: store.failures[str(master)] == 1)
        put(hosts, "b 60 A 192.0.2.3\n")
        await until(lambda: changed == [KEY, KEY])


async def test_files_come_and_go_in_a_folder(tmp_path: Path) -> None:
    async with running(folder(tmp_path)) as (store, changed):
        assert store.find(ORIGIN) is None
        put(tmp_path / "db.example.org", text(1))
        await until(lambda: serial(store, "www.example.org") == 1)
        assert changed == [KEY, ZONES]
        remove(tmp_path / "db.example.org")
        await until(lambda: store.find(ORIGIN) is None)
        assert changed == [KEY, ZONES, KEY, ZONES]


async def test_a_folder_below_is_followed_too(tmp_path: Path) -> None:
    async with running(folder(tmp_path)) as (store, _):
        below = tmp_path / "below"
        below.mkdir()
        put(below / "db.example.org", text(1))
        await until(lambda: serial(store) == 1)
        put(below / "db.example.org", text(2))
        await until(lambda: serial(store) == 2)


async def test_a_config_map_is_swapped(tmp_path: Path) -> None:
    for version in (1, 2):
        (tmp_path / f"..v{version}").mkdir()
        (tmp_path / f"..v{version}" / "db.example.org").write_text(text(version))
    (tmp_path / "..data").symlink_to("..v1")
    (tmp_path / "db.example.org").symlink_to("..data/db.example.org")
    async with running(folder(tmp_path)) as (store, _):
        assert serial(store) == 1
        (tmp_path / "..data_tmp").symlink_to("..v2")
        (tmp_path / "..data_tmp").rename(tmp_path / "..data")
        await until(lambda: serial(store) == 2)


async def test_a_broken_file_in_a_folder_is_that_zones_trouble(tmp_path: Path) -> None:
    (tmp_path / "db.example.org").write_text("nonsense")
    (tmp_path / "db.example.net").write_text(text(7))
    async with running(folder(tmp_path)) as (store, changed):
        assert store.find(ORIGIN) == (ORIGIN, None)
        assert serial(store, "example.net") == 7
        put(tmp_path / "db.example.org", text(1))
        await until(lambda: serial(store) == 1)
        assert changed == [KEY]


async def test_a_folder_that_is_away_takes_nothing_out_of_service(tmp_path: Path) -> None:
    zones = tmp_path / "zones"
    zones.mkdir()
    (zones / "db.example.org").write_text(text(1))
    async with running(folder(zones)) as (store, changed):
        zones.rename(tmp_path / "away")
        await until(lambda: bool(store.failures))
        assert (serial(store), changed) == (1, [])
        (tmp_path / "away").rename(zones)
        put(zones / "db.example.org", text(2))
        await until(lambda: serial(store) == 2)


async def test_without_reload_nothing_is_followed(master: Path) -> None:
    store = ZoneFiles(named(master), 0, lambda keys: None)
    store.load()
    await asyncio.wait_for(store.run(), DEADLINE)


def loaded(listing: Listing, reload: float = NEVER) -> ZoneFiles:
    store = ZoneFiles(listing, reload, lambda keys: None)
    store.load()
    return store


BROKEN = {
    "syntax": ("@ 60 SOA a b 1 2 3 4 5\nx 60 A\n", ":2: A: an IPv4 address expected, but the record ends"),
    "no soa": ("@ 60 NS ns\n", ": no SOA at example.org."),
    "not a zone": (text(1, "x 60 CNAME y\nx 60 A 192.0.2.1"), ":4: x.example.org. has a CNAME and other data (A)"),
    "include": (text(1, "$INCLUDE gone"), ":3: $INCLUDE gone: No such file or directory"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_named_file_stops_the_start(master: Path, content: str, message: str) -> None:
    master.write_text(content)
    with pytest.raises(ZoneFileError) as caught:
        loaded(named(master))
    assert str(caught.value) == f"{master}{message}"


def test_a_missing_named_file_is_waited_for(tmp_path: Path) -> None:
    listing = named(tmp_path / "later")
    assert loaded(listing).find(ORIGIN) == (ORIGIN, None)
    with pytest.raises(ZoneFileError, match=r"later: No such file or directory$"):
        loaded(listing, reload=0)


async def test_a_missing_named_file_comes(tmp_path: Path) -> None:
    async with running(named(tmp_path / "later")) as (store, _):
        put(tmp_path / "later", text(4))
        await until(lambda: serial(store) == 4)


def test_the_longest_zone_holds_a_name(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(text(1))
    (tmp_path / "b").write_text(text(2))
    files = [(from_text("org"), str(tmp_path / "a")), (ORIGIN, str(tmp_path / "b"))]
    store = loaded(NamedFiles(files))
    assert (serial(store, "x.example.org"), serial(store, "org"), serial(store, "x.org")) == (
        2,
        1,
        1,
    )
    assert store.find(from_text("test")) is None


def test_only_names_below_the_origins_are_answered(tmp_path: Path) -> None:
    for zone in ("org", "example.org", "example.net"):
        (tmp_path / f"db.{zone}").write_text(text(1))
    store = loaded(folder(tmp_path, "example.org", "sub.org"))
    assert sorted(store.zones) == [("example", "org"), ("org",)]
    assert store.find(from_text("www.org")) is None
    assert store.find(from_text("x.sub.org")) == (("org",), store.zones[("org",)])


PATTERNS = {
    "default": (r"db\.(.*)", "{1}", "db.example.org", "example.org."),
    "not anchored": (r"db\.(.*)", "{1}", "mydb.Example.ORG", "example.org."),
    "two groups": (r"^(\w+)_(\w+)\.zone$", "{2}.{1}", "org_example.zone", "example.org."),
    "named group": (r"^(?P<z>.*)\.zone$", "{z}", "example.org.zone", "example.org."),
    "group that is not there": (r"db\.(.*)", "{1}{2}", "db.example.org", "example.org."),
    "no match": (r"^(.*)\.zone$", "{1}", "example.org.zone.bak", None),
}


@pytest.mark.parametrize(
    ("pattern", "template", "file", "zone"), PATTERNS.values(), ids=PATTERNS.keys()
)
def test_the_name_of_a_file_tells_its_zone(
    tmp_path: Path, pattern: str, template: str, file: str, zone: str | None
) -> None:
    (tmp_path / file).write_text(text(1))
    listing = Folder(str(tmp_path), pattern, template, ((),))
    listing.refresh()
    assert list(listing.paths) == ([from_text(zone)] if zone else [])


def test_a_folder_that_cannot_be_read_is_not_an_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    put(tmp_path / "db.example.org", text(1))
    listing = folder(tmp_path, "example.org")
    listing.refresh()
    before = dict(listing.paths)

    def fails(path: str) -> object:
        raise OSError(errno.EMFILE, "Too many open files", path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", fails)
        listing.refresh()
    assert listing.paths == before != {}
    assert caplog.messages == [f"{tmp_path}: Too many open files; zones stay"]


def test_two_files_for_a_zone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "adb.example.org").write_text(text(1))
    (tmp_path / "db.example.org").write_text(text(2))
    assert serial(loaded(folder(tmp_path))) == 1
    assert (
        f"served from {tmp_path}/adb.example.org, not from {tmp_path}/db.example.org" in caplog.text
    )


def test_the_example_zones_are_in_order(caplog: pytest.LogCaptureFixture) -> None:
    store = loaded(folder(Path(__file__).parents[2] / "zones"))
    assert {"example.test", "2.0.192.in-addr.arpa"} <= {".".join(zone) for zone in store.zones}
    assert None not in store.zones.values()
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
