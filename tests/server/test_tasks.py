"""What runs by itself while the server serves: a mistake in it is logged, and it runs again."""

from __future__ import annotations

import pytest

from kdns.upstream.pool import Pool
from tests.server.running import InProcess
from tests.waiting import until


async def test_a_service_that_raises_is_logged_and_restarted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    runs: list[Pool] = []

    async def run(pool: Pool) -> None:
        runs.append(pool)
        raise ZeroDivisionError("a mistake")

    monkeypatch.setattr(Pool, "run", run)
    server = InProcess("example.org:0 {\nbind 127.0.0.1\nforward . 127.0.0.1:9\n}\n")
    await server.start()
    try:
        await until(lambda: len(runs) > 1)
        assert "forward Corefile:1 failed, restarting: ZeroDivisionError: a mistake" in caplog.text
    finally:
        assert await server.stop() == 0
