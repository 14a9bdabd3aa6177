"""Log lines are written beside the server, whatever reads them."""

from __future__ import annotations

import fcntl
import logging
import os
import re
import sys
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from kdns.cli import logs

MORE = 300
"""Lines beyond those that may wait."""


class Pipe(NamedTuple):
    """A logger and where its lines come out."""

    logger: logging.Logger
    handler: logs.Writer
    reader: int

    def read_all(self) -> list[str]:
        """Every line until the other end is closed."""
        with open(self.reader, encoding="utf-8", closefd=False) as lines:
            return lines.read().splitlines()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    reader, writer = os.pipe()
    handler = logs.Writer(writer)
    handler.setFormatter(logging.Formatter("[%(levelname)s] %(message)s"))
    logger = logging.Logger("test")
    logger.addHandler(handler)
    yield Pipe(logger, handler, reader)
    os.close(reader)
    handler.flush()
    handler.close()


def end(pipe: Pipe) -> None:
    """Let the reader see the end."""
    os.close(pipe.handler._file)


def test_lines_come_whole_and_in_order(pipe: Pipe) -> None:
    for number in range(1000):
        pipe.logger.info("line %d", number)
    pipe.handler.flush()
    end(pipe)
    assert pipe.read_all() == [f"[INFO] line {number}" for number in range(1000)]


def test_what_is_no_text_is_written_all_the_same(pipe: Pipe) -> None:
    pipe.logger.warning("odd: %s", "\udc80")
    pipe.handler.flush()
    end(pipe)
    assert pipe.read_all() == ["[WARNING] odd: \\udc80"]


@pytest.mark.skipif(sys.platform != "linux", reason="the size of a pipe is Linux's to set")
def test_a_pipe_that_nobody_reads_holds_up_nobody(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "PATIENCE", 0.01)
    monkeypatch.setattr(logs, "MOST_LINES", 2000)
    fcntl.fcntl(pipe.reader, fcntl.F_SETPIPE_SZ, 4096)
    logged = (
        logs.MOST_LINES + logs.AT_ONCE + 4096 // 80 + MORE
    )  # waiting, being written, in the pipe
    for number in range(logged):
        pipe.logger.info("line %d %s", number, "x" * 80)
    pipe.handler.flush()  # gives up
    seen, dropped = b"", 0
    while seen.count(b" x") + dropped < logged:
        seen += os.read(pipe.reader, 65536)
        dropped = sum(map(int, re.findall(rb"\[WARNING\] (\d+) log lines dropped", seen)))
    assert dropped >= MORE
    assert seen.count(b" x") + dropped == logged


def test_a_reader_that_went_away_is_no_trouble(pipe: Pipe) -> None:
    nobody, away = os.pipe()
    os.close(nobody)
    os.dup2(away, pipe.handler._file)  # a write there fails (EPIPE)
    os.close(away)
    for word in ("first", "second"):
        pipe.logger.info(word)
        pipe.handler.flush()
    assert pipe.handler._done == 2
