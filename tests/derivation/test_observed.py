"""What is kept for watchers between two deliveries."""

from __future__ import annotations

import asyncio

import pytest

from kdns.derivation import observed
from kdns.derivation.messages import Batch, Seen, frame, replies
from kdns.derivation.observed import Tap
from kdns.wire.message import Transfer
from tests.fakes.replies import repeats


class Watcher:
    """Waits for the first delivery."""

    def __init__(self) -> None:
        self.batch: asyncio.Future[Batch] = asyncio.get_running_loop().create_future()
        self.tap = Tap(self.batch.set_result, lambda _: None)


async def test_of_a_zone_transfer_the_first_message_is_told() -> None:
    watcher = Watcher()
    whole = Transfer(b"\0\1first", (b"second", b"third"))
    respond = watcher.tap.respond(lambda *_: whole, {"tcp": repeats(is_stream=True)})
    assert respond(b"\0\1question", "127.0.0.1", 5, "tcp", "127.0.0.1") is whole, (
        "the asker gets all of it"
    )
    batch = await watcher.batch
    told = replies.decode(frame(batch)[4:])
    assert isinstance(told, Batch)
    assert [seen.reply for seen in told.seen] == [b"\0\1first"]


async def test_octets_are_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observed, "MAX_OCTETS", 1000)
    watcher = Watcher()
    for _ in range(20):
        watcher.tap.see(Seen(0.0, "127.0.0.1", 5, "tcp", b"q", bytes(300), 0.0, False))
    batch = await watcher.batch
    assert (len(batch.seen), batch.missed) == (4, 16)
