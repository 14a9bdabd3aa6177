"""Files that directives read: followed through mistakes, and through not being there."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from kdns.config.tree import ConfigError
from kdns.plugins.interface import file_key
from kdns.sources.textfiles import TextFile
from kdns.wire.message import Key
from tests.waiting import until


def read_number(text: str) -> int:
    if text and not text.strip().isdigit():
        raise ConfigError(f"numbers:1: {text!r} is no number")
    return int(text or 0)


def put(path: Path, text: str) -> None:
    """In one step: a file that is being written may be read while it is still empty."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


async def test_a_mistake_is_told_once_and_the_file_followed_further(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "numbers"
    changes: list[frozenset[Key]] = []
    file = TextFile(str(path), 0.01, read_number, changes.append)
    file.load()
    following = asyncio.create_task(file.run())
    try:
        put(path, "oops")  # also where nothing good was read before
        await until(lambda: "is no number" in caplog.text or following.done())
        put(path, "17")
        await until(lambda: file.value == 17 or following.done())
        put(path, "again oops")
        await until(lambda: "again oops" in caplog.text or following.done())
        assert file.value == 17
        put(path, "18")
        await until(lambda: file.value == 18 or following.done())
    finally:
        following.cancel()
    (ended,) = await asyncio.gather(following, return_exceptions=True)
    assert isinstance(ended, asyncio.CancelledError)
    assert changes == 2 * [frozenset({file_key(str(path))})]
    assert "'again oops' is no number; going on with what was last read" in caplog.text
    assert caplog.text.count("'oops' is no number; as if empty until it is read") == 1


def test_a_mistake_at_the_start_is_fatal(tmp_path: Path) -> None:
    path = tmp_path / "numbers"
    path.write_text("oops")
    file = TextFile(str(path), 0.0, read_number, lambda _: None)
    with pytest.raises(ConfigError, match="numbers:1: 'oops' is no number"):
        file.load()
