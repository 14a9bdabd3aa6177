"""What runs by itself while the server serves: its unexpected end is told."""

from __future__ import annotations

import pytest

from kdns.upstream.pool import Pool
from tests.server.running import InProcess
from tests.waiting import until


async def test_a_service_that_ends_by_a_mistake_is_told_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def run(_: Pool) -> None:
        raise ZeroDivisionError("a mistake")

    monkeypatch.setattr(Pool, "run", run)
    server = InProcess("example.org:0 {\nbind 127.0.0.1\nforward . 127.0.0.1:9\n}\n")
    await server.start()
    try:
        await until(lambda: "ended: ZeroDivisionError('a mistake')" in caplog.text)
    finally:
        assert await server.stop() == 0
