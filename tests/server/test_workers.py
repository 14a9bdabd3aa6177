"""Several processes on one address: same answers, changes passed on, deaths survived, figures added up."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import dns.exception
import dns.message
import dns.query
import dns.rcode
import pytest
from prometheus_client.parser import text_string_to_metric_families

from kdns.config.tree import ConfigError
from tests.cluster.processes import free_dns_port, free_port
from tests.server.running import InProcess
from tests.waiting import until

ASKERS: Final = 24
"""Each from a port of its own: all of them reaching one of two processes has odds of 1 in 8 million."""

SERVICE: Final = """\
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: default}}
spec: {{clusterIP: {address}, ports: [{{name: http, port: 80}}]}}
"""


class Running:
    """A server with two processes, on a folder of manifests."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port, self.http = folder, free_port(), free_port()
        (folder / "web.yaml").write_text(SERVICE.format(name="web", address="10.96.1.1"))
        command = [sys.executable, "-m", "kdns", "serve", "--manifests", str(folder)]
        (folder / "zones").mkdir()
        (folder / "zones" / "db.broken.test").write_text("no zone\n")
        command += [
            "--zones",
            str(folder / "zones"),
            "--listen",
            f"127.0.0.1:{self.port}",
            "--metrics",
            f"127.0.0.1:{self.http}",
        ]
        self.log = folder.with_suffix(".log")
        with self.log.open("w") as output:
            self.process = subprocess.Popen(
                [*command, "--workers", "2"], stdout=output, stderr=subprocess.STDOUT
            )

    def ask(self, name: str) -> set[str]:
        """All answers that the processes give."""
        query = dns.message.make_query(f"{name}.default.svc.cluster.local", "A")
        found = set()
        for _ in range(ASKERS):
            try:
                reply = dns.query.udp(query, "127.0.0.1", port=self.port, timeout=10)
            except dns.exception.Timeout:
                return {"silence"}
            texts = [item.to_text() for rrset in reply.answer for item in rrset]
            found.add(" ".join([dns.rcode.to_text(reply.rcode()), *texts]))
        return found

    def wait_until_up(self) -> None:
        """The line comes when all processes serve."""
        wait_for(lambda: "listening on" in self.log.read_text(), "the start")
        assert self.ask("web") == {"NOERROR 10.96.1.1"}

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(60)
        print(self.log.read_text())
        return status

    def children(self) -> list[int]:
        """The workers. Importing starts other programs for a moment (``ctypes`` asks ldconfig)."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(number) for number in path.read_text().split() if _is_worker(number)]

    def requests(self) -> float:
        return self.counted("coredns_dns_requests")

    def counted(self, name: str) -> float:
        """The sum of a counter's samples in ``/metrics``."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/metrics", timeout=30) as page:
            families = text_string_to_metric_families(page.read().decode())
        return sum(
            sample.value for family in families if family.name == name for sample in family.samples
        )


def _is_worker(number: str) -> bool:
    try:
        return b"kdns.cli.worker" in Path(f"/proc/{number}/cmdline").read_bytes()
    except OSError:
        return False  # ended meanwhile


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if condition():
                return
        except OSError:
            pass  # nobody answers yet
        time.sleep(0.02)
    pytest.fail(f"not within {seconds} s: {what}")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    if not sys.platform.startswith("linux"):
        pytest.skip("SO_REUSEPORT spreads datagrams over processes on Linux only")
    running = Running(tmp_path)
    try:
        running.wait_until_up()
        yield running
    finally:
        status = running.end()
    assert status == 0


def test_all_processes_answer_and_all_questions_are_counted(server: Running) -> None:
    wait_for(lambda: len(server.children()) == 1, "one worker beside the main process")
    before = ASKERS
    wait_for(lambda: server.requests() >= before, "figures of both processes")
    server.ask("web")
    wait_for(lambda: server.requests() % ASKERS == 0, "every question counted once")
    assert server.counted("kdns_zone_file_failures") == 1


def test_a_change_reaches_every_process(server: Running) -> None:
    assert server.ask("new") == {"NXDOMAIN"}
    (server.folder / "new.yaml").write_text(SERVICE.format(name="new", address="10.96.1.2"))
    wait_for(lambda: server.ask("new") == {"NOERROR 10.96.1.2"}, "the new Service everywhere")
    (server.folder / "new.yaml").unlink()
    wait_for(lambda: server.ask("new") == {"NXDOMAIN"}, "no such Service anywhere")


def test_a_worker_that_dies_is_replaced_and_what_it_counted_stays(server: Running) -> None:
    wait_for(lambda: server.requests() >= ASKERS, "the figures of the first questions")
    [child] = server.children()
    os.kill(child, signal.SIGKILL)
    wait_for(lambda: server.children() not in ([], [child]), "a new worker")
    assert server.requests() >= ASKERS
    wait_for(lambda: server.ask("web") == {"NOERROR 10.96.1.1"}, "answers from the new one")


def test_workers_end_with_the_main_process(tmp_path: Path) -> None:
    running = Running(tmp_path)
    try:
        running.wait_until_up()
        [child] = running.children()
    finally:
        running.process.kill()
        running.process.wait(60)
    wait_for(lambda: not Path(f"/proc/{child}").exists(), "the orphan's end")


def test_told_to_stop_while_the_workers_start(tmp_path: Path) -> None:
    running = Running(tmp_path)
    wait_for(lambda: bool(running.children()), "the beginning of the start")
    assert running.end() == 0


def test_several_workers_need_a_fixed_port(tmp_path: Path) -> None:
    (tmp_path / "web.yaml").write_text(SERVICE.format(name="web", address="10.96.1.1"))
    command = [sys.executable, "-m", "kdns", "serve", "--manifests", str(tmp_path)]
    done = subprocess.run(
        [*command, "--listen", "127.0.0.1:0", "--workers", "2"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "kdns: several workers need a port that is not 0\n"


def test_an_address_in_use_is_an_error_at_start(tmp_path: Path) -> None:
    (tmp_path / "web.yaml").write_text(SERVICE.format(name="web", address="10.96.1.1"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "kdns", "serve", "--manifests", str(tmp_path)]
        done = subprocess.run(
            [*command, "--listen", f"127.0.0.1:{port}", "--workers", "2"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    said = f"kdns: cannot listen on 127.0.0.1:{port}: Address already in use ("
    assert done.stderr.startswith(said)


async def test_a_worker_that_cannot_be_started_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real, refusals = asyncio.create_subprocess_exec, 2

    async def spawn(*command: str, **options: Any) -> asyncio.subprocess.Process:
        nonlocal refusals
        if refusals:
            refusals -= 1
            raise OSError(errno.EAGAIN, "no more processes")
        return await real(*command, **options)

    server = InProcess(f".:{free_dns_port()} {{\nbind 127.0.0.1\nwhoami\n}}\n", workers=2)
    await server.start()
    try:
        running = server.server.workers.running
        (first,) = running.values()
        monkeypatch.setattr(asyncio, "create_subprocess_exec", spawn)
        first.process.kill()
        await until(lambda: running and first not in running.values())
        assert caplog.text.count("a worker cannot be started: [Errno 11] no more processes") == 2
    finally:
        assert await server.stop() == 0


async def test_no_worker_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    async def spawn(*_: str, **__: Any) -> asyncio.subprocess.Process:
        raise OSError(errno.EAGAIN, "no more processes")

    monkeypatch.setattr(asyncio, "create_subprocess_exec", spawn)
    server = InProcess(f".:{free_dns_port()} {{\nbind 127.0.0.1\nwhoami\n}}\n", workers=2)
    try:
        with pytest.raises(ConfigError, match=r"a worker cannot serve: .*no more processes"):
            await server.start()
    finally:  # else the end of the process would
        await server.server.workers.stop(0)
        await server.server.core.stop(0)
