"""``loop``: which upstream leads back, what is done about it, and what the log advises."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from contextlib import suppress

import dns.message
import pytest

from kdns.config.addresses import Address
from kdns.plugins.loop import Settings, _advice
from kdns.upstream.client import Target
from kdns.upstream.upstream import Upstream
from kdns.wire.constants import Rcode
from tests.fakes.nameserver import NameServer
from tests.plugins.chains import refusal, settings, told
from tests.plugins.forwarding import Block
from tests.upstream.test_pool import query
from tests.waiting import until

RECORD = "a.test. 300 IN A 192.0.2.1"


def leads_back(server: NameServer, block: Block) -> Callable[[dns.message.Message], None]:
    """A name server that asks the block in its turn, as systemd-resolved asks the cluster's DNS."""
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()

    def ask(message: dns.message.Message) -> None:
        asked = message.question[0]
        again = query(asked.name.to_text(), int(asked.rdtype), client="127.0.0.1")

        async def answer() -> None:
            try:
                await block.handler(again)
            finally:
                answered.set()

        answered = threading.Event()
        with suppress(RuntimeError):  # the test is over, and so is its loop
            loop.call_soon_threadsafe(lambda: tasks.add(loop.create_task(answer())))
            answered.wait(3)

    server.reached = ask
    return ask


def test_options() -> None:
    assert settings("loop") == Settings()
    assert "2: loop: takes no argument" in refusal("loop x")
    assert "3: x: loop has no options" in refusal("loop {\nx\n}")


async def test_the_one_that_leads_back_is_asked_no_more(caplog: pytest.LogCaptureFixture) -> None:
    with NameServer() as mirror, NameServer(RECORD) as good:
        text = f"loop\nforward . 127.0.0.1:{mirror.port} 127.0.0.1:{good.port} {{\npolicy sequential\n}}"
        block = Block(text)
        leads_back(mirror, block)
        async with block:
            await until(lambda: len(block.pools[0].upstreams) == 1)
            asked = len(mirror.asked)
            assert told(await block.answer("a.test. A")) == "NOERROR; a.test. 300 A 192.0.2.1"
            assert len(mirror.asked) == asked
    expected = (
        f"plugin/loop: upstream 127.0.0.1:{mirror.port} for zone . leads back here (by 127.0.0.1)"
        f" and is not asked any more; left are 127.0.0.1:{good.port}. "
        "Name a server in 'forward' that does not ask this one"
    )
    assert [(r.levelno, r.getMessage()) for r in caplog.records] == [(logging.ERROR, expected)]


async def test_the_only_one(caplog: pytest.LogCaptureFixture) -> None:
    with NameServer() as mirror:
        block = Block(f"loop\nforward . 127.0.0.1:{mirror.port}")
        leads_back(mirror, block)
        async with block:
            await until(lambda: not block.pools[0].upstreams)
            answer = await block.answer("a.test. A")
    assert (answer.rcode, answer.failure) == (Rcode.SERVFAIL, "every upstream leads back here")
    assert "no upstream is left: other names fail" in caplog.text


async def test_none(caplog: pytest.LogCaptureFixture) -> None:
    with NameServer(RECORD) as server:
        async with Block(f"loop\nforward . 127.0.0.1:{server.port}") as block:
            await asyncio.wait_for(
                asyncio.gather(*block.running[1:]), 30
            )  # the first is the pool's
            assert len(block.pools[0].upstreams) == 1
            assert told(await block.answer("a.test. A")) == "NOERROR; a.test. 300 A 192.0.2.1"
        assert {name.split()[1] for name in server.names} == {"HINFO", "A"}
    assert not caplog.records


async def test_other_questions_for_hinfo_pass() -> None:
    with NameServer("a.test. 5 IN HINFO x y") as server:
        async with Block(f"loop\nforward . 127.0.0.1:{server.port}") as block:
            assert len((await block.answer("a.test. HINFO")).answer) == 1


async def test_an_upstream_that_is_late_is_waited_for() -> None:
    with NameServer() as mirror:
        mirror.stop()
        block = Block(f"loop\nforward . 127.0.0.1:{mirror.port}")
        leads_back(mirror, block)
        async with block:
            await asyncio.sleep(0.1)
            mirror.start()
            await until(lambda: not block.pools[0].upstreams)


def test_the_stub_of_systemd_resolved() -> None:
    block = Block("forward . 127.0.0.53")
    stub: Upstream = block.pools[0].upstreams[0]
    assert stub.target == Target(Address("127.0.0.53", 53))
    assert "write 'forward . /run/systemd/resolve/resolv.conf'" in _advice(stub)
