"""The Corefile as a source: every way in which files change, and what is no change."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path

import pytest

from kdns.config import corefile
from kdns.config.tree import ConfigError, ServerBlock
from kdns.sources.configuration import Configuration
from kdns.sources.files import Reading


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "Corefile"
    path.write_text(". {\nimport extra/*.conf\n}\nimport other\n")
    (tmp_path / "other").write_text("a {\nwhoami\n}\n")
    return path


def configuration(path: Path) -> Configuration:
    def parse(reading: Reading) -> tuple[ServerBlock, ...]:
        return corefile.parse(
            reading.read(str(path)), str(path), load=reading.load, environment=os.environ
        )

    return Configuration(parse)


async def _next(changes: AsyncIterator[None]) -> None:
    await anext(changes)


def write(path: Path) -> None:
    path.write_text(path.read_text() + "# more\n")


def replace(path: Path) -> None:
    new = path.with_name("new")
    new.write_text(path.read_text() + "# more\n")
    new.rename(path)


def other(path: Path) -> None:
    write(path.with_name("other"))


def come(path: Path) -> None:
    folder = path.with_name("extra")
    folder.mkdir()
    (folder / "a.conf").write_text("whoami\n")


def go(path: Path) -> None:
    path.with_name("other").unlink()


@pytest.mark.parametrize("change", [write, replace, other, come, go])
async def test_is_noticed(path: Path, change: Callable[[Path], None]) -> None:
    source = configuration(path)
    source.load()
    async with aclosing(source.changes()) as changes:
        waiting = asyncio.ensure_future(_next(changes))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        change(path)
        await asyncio.wait_for(waiting, 30)


async def test_a_configmap_is_links_that_are_exchanged(tmp_path: Path) -> None:
    for name, text in (("one", ". {\nwhoami\n}"), ("two", "b {\nwhoami\n}")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "Corefile").write_text(text)
    (tmp_path / "..data").symlink_to("one")
    (tmp_path / "Corefile").symlink_to("..data/Corefile")
    source = configuration(tmp_path / "Corefile")
    source.load()
    async with aclosing(source.changes()) as changes:
        waiting = asyncio.ensure_future(_next(changes))
        await asyncio.sleep(0.1)
        (tmp_path / "..tmp").symlink_to("two")
        (tmp_path / "..tmp").rename(tmp_path / "..data")
        await asyncio.wait_for(waiting, 30)
    assert source.load()[0].keys[0].zone == ("b",)


async def test_a_file_is_read_when_it_is_whole(path: Path) -> None:
    """An editor that empties the file before it writes: the empty one is never served."""
    source = configuration(path)
    source.load()
    async with aclosing(source.changes()) as changes:
        waiting = asyncio.ensure_future(_next(changes))
        await asyncio.sleep(0.1)
        with path.open("w") as file:
            file.flush()
            await asyncio.sleep(0.06)
            file.write("c {\nwhoami\n}\n")
        await asyncio.wait_for(waiting, 30)
    assert source.load()[0].keys[0].zone == ("c",)


async def test_also_after_a_file_that_could_not_be_used(path: Path) -> None:
    source = configuration(path)
    source.load()
    text = "d {\nwhoami\n}\n"

    async def next_change(changes: AsyncIterator[None], doing: Callable[[], object]) -> None:
        waiting: Awaitable[None] = asyncio.ensure_future(_next(changes))
        await asyncio.sleep(0.1)
        doing()
        await asyncio.wait_for(waiting, 30)

    async with aclosing(source.changes()) as changes:
        await next_change(changes, lambda: path.write_text("import nowhere\n"))
        with pytest.raises(ConfigError, match="nowhere"):
            source.load()
        await next_change(changes, lambda: path.write_text(text))
        assert source.load()[0].keys[0].zone == ("d",)


async def test_nothing_to_watch() -> None:
    source = Configuration(lambda reading: ())
    source.load()
    assert [change async for change in source.changes()] == []


def test_looking_again_is_no_change(path: Path) -> None:
    reading = Reading()
    reading.read(str(path))
    reading.load("extra/*.conf", str(path))
    assert not reading.changed()
    write(path)
    assert (reading.changed(), reading.changed()) == (True, False)
