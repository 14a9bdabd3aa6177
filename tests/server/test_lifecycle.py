"""The whole server: start, answer, follow changes, reload, stop; in this process and as a program."""

from __future__ import annotations

import asyncio
import errno
import gc
import itertools
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final
from unittest import mock

import dns.asyncquery
import dns.exception
import dns.message
import dns.query
import dns.rcode
import pytest

from kdns import __version__
from kdns.config.tree import ConfigError
from kdns.listeners import tcp as tcp_listener
from kdns.plugins.chain import SUPPORTED
from kdns.server import lifecycle
from tests.cluster.processes import Process, free_dns_port, free_port, wait_until
from tests.server.running import InProcess

SERVICE: Final = """\
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: shop}}
spec: {{clusterIP: {address}, ports: [{{name: http, port: 80}}]}}
"""
ZONE: Final = """\
$ORIGIN example.org.
@ 60 SOA ns hostmaster {serial} 2 3 4 5
@ 60 NS ns
www 60 A {address}
"""
COREFILE: Final = """\
.:{port} {{
    bind {hosts}
    errors
    health localhost:{health}
    ready localhost:{ready}
    prometheus localhost:{metrics}
    kubernetes cluster.local in-addr.arpa {{
        manifests {folder}/manifests
    }}
    file {folder}/db.example.org example.org
}}
"""
WEB: Final = "web.shop.svc.cluster.local."


class Site:
    """A folder with all that a server reads, and the ports that it may have."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_dns_port()
        self.health, self.ready, self.metrics = free_port(), free_port(), free_port()
        (folder / "manifests").mkdir()
        self.put("web", "10.96.1.1")
        self.put_zone(1, "192.0.2.1")
        (folder / "db.broken").write_text("$ORIGIN example.org.\nwww 60 A here\n")

    def put(self, name: str, address: str) -> None:
        text = SERVICE.format(name=name, address=address)
        (self.folder / "manifests" / f"{name}.yaml").write_text(text)

    def put_zone(self, serial: int, address: str) -> None:
        text = ZONE.format(serial=serial, address=address)
        (self.folder / "db.example.org").write_text(text)

    def corefile(self, hosts: str = "127.0.0.1", port: int | None = None) -> str:
        return COREFILE.format(
            port=self.port if port is None else port,
            hosts=hosts,
            health=self.health,
            ready=self.ready,
            metrics=self.metrics,
            folder=self.folder,
        )


async def page(port: int, path: str) -> tuple[int, str]:
    """Status and body; (0, "") when nobody listens."""

    def get() -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://localhost:{port}{path}", timeout=30) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    return await asyncio.to_thread(get)


class Running(Site, InProcess):
    """A server in this process."""

    def __init__(self, folder: Path) -> None:
        Site.__init__(self, folder)
        InProcess.__init__(self, self.corefile())

    async def ask(
        self,
        name: str = WEB,
        kind: str = "A",
        host: str = "127.0.0.1",
        port: int = 0,
        tcp: bool = False,
    ) -> str:
        """The rcode and the data of the answer section."""
        query = dns.message.make_query(name, kind, use_edns=0, id=7)
        send = dns.asyncquery.tcp if tcp else dns.asyncquery.udp
        reply = await send(query, host, timeout=30, port=port or self.port)
        data = sorted(item.to_text() for rrset in reply.answer for item in rrset)
        return " ".join([dns.rcode.to_text(reply.rcode()), *data])

    def listens(self, host: str = "127.0.0.1", tcp: bool = False) -> bool:
        """A port that nobody has is refused at once, over UDP by ICMP."""
        with socket.socket(type=socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM) as sock:
            sock.settimeout(0.5)
            try:
                sock.connect((host, self.port))
                sock.send(b"?")
                sock.recv(1)
            except ConnectionRefusedError:
                return False
            except TimeoutError:
                return True
        return True

    async def until(self, expected: str, ask: Callable[[], Awaitable[object]]) -> None:
        """Ask, over the same kept replies, until the answer is this one."""
        found: object = None
        for _ in range(1500):
            found = await ask()
            if found == expected:
                return
            await asyncio.sleep(0.02)
        pytest.fail(f"{expected!r} expected, it stays {found!r}")

    async def warm(self, *names: str) -> None:
        """Have the replies kept: the same bytes are asked twice, as ``ask`` always sends them."""
        for name in names:
            first = await self.ask(name)
            assert await self.ask(name) == first
        assert self.endpoint.cache.hits >= len(names)

    async def failed_reloads(self) -> str:
        _, text = await page(self.metrics, "/metrics")
        return next(
            line for line in text.splitlines() if line.startswith("coredns_reload_failed_total ")
        )


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    server = Running(tmp_path)
    await server.start()
    try:
        yield server
    finally:
        assert await server.stop() == 0


# ---- start and answers


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
async def test_answers(running: Running, tcp: bool) -> None:
    assert await running.ask(tcp=tcp) == "NOERROR 10.96.1.1"
    assert await running.ask("nope.shop.svc.cluster.local.", tcp=tcp) == "NXDOMAIN"
    assert await running.ask("1.1.96.10.in-addr.arpa.", "PTR", tcp=tcp) == f"NOERROR {WEB}"
    assert await running.ask("www.example.org.", tcp=tcp) == "NOERROR 192.0.2.1"
    assert await running.ask("else.where.", tcp=tcp) == "REFUSED"


async def test_pages(running: Running) -> None:
    await running.ask()
    assert await page(running.health, "/health") == (200, "OK")
    assert await page(running.ready, "/ready") == (200, "OK")
    status, text = await page(running.metrics, "/metrics")
    assert status == 200
    server = f'server="dns://127.0.0.1:{running.port}"'
    assert f'coredns_dns_responses_total{{plugin="kubernetes",rcode="NOERROR",{server}' in text
    assert (
        f'kdns_index_objects{{kind="services",source="manifests {running.folder}/manifests"}} 1.0'
        in text
    )


async def test_questions_dropped_because_too_many_wait_are_counted(running: Running) -> None:
    assert running.endpoint.udp
    running.endpoint.udp.overflows = 3
    for _ in range(2):
        _, text = await page(running.metrics, "/metrics")
        assert 'kdns_dropped_datagrams_total{reason="overflow"} 3.0' in text


async def test_a_port_that_the_system_chooses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Running(tmp_path)
    server.text = server.corefile(port=0)
    taken = OSError(errno.EADDRINUSE, "taken")
    results = itertools.chain([taken, taken], itertools.repeat(mock.DEFAULT))
    bind = mock.Mock(wraps=tcp_listener.bind, side_effect=results)
    monkeypatch.setattr(tcp_listener, "bind", bind)  # others' connections have ports too
    await server.start()
    (endpoint,) = server.server.core.sockets
    for tcp in (False, True):
        assert await server.ask(port=endpoint.address.port, tcp=tcp) == "NOERROR 10.96.1.1"
    assert await server.stop() == 0


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("errors", "erors", "Corefile:3: unknown directive 'erors'; did you mean errors?"),
        ("bind 127.0.0.1", "bind 203.0.113.9", "cannot listen on 203.0.113.9:PORT: "),
        ("/db.example.org", "/db.broken", "FOLDER/db.broken:2: "),
        ("/manifests\n", "/nope\n", "manifests FOLDER/nope: "),
        (
            "errors",
            "shortnames a b",
            "Corefile:3: shortnames: takes one namespace, got 2 arguments",
        ),
    ],
    ids=["directive", "address", "zone file", "manifests", "option"],
)
async def test_what_cannot_be_used_is_an_error_at_start(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    server = Running(tmp_path)
    server.text = server.text.replace(old, new)
    with pytest.raises(ConfigError) as caught:
        await server.start()
    expected = message.replace("PORT", str(server.port)).replace("FOLDER", str(tmp_path))
    assert str(caught.value).startswith(expected)
    assert not server.listens()


# ---- changes while running


async def test_an_edited_manifest_changes_the_answer(running: Running) -> None:
    await running.warm(WEB)
    running.put("web", "10.96.1.9")
    await running.until("NOERROR 10.96.1.9", running.ask)
    (running.folder / "manifests" / "web.yaml").unlink()
    await running.until("NXDOMAIN", running.ask)


async def test_a_name_that_was_just_created_is_not_hidden(running: Running) -> None:
    name = "new.shop.svc.cluster.local."
    await running.warm(name, WEB)
    assert await running.ask(name) == "NXDOMAIN"
    running.put("new", "10.96.1.7")
    await running.until("NOERROR 10.96.1.7", lambda: running.ask(name))
    await running.until("NOERROR 10.96.1.7", lambda: running.ask(name, tcp=True))


async def test_a_broken_manifest_leaves_the_last_good_one(running: Running) -> None:
    (running.folder / "manifests" / "web.yaml").write_text("kind: [")
    running.put("other", "10.96.1.8")
    await running.until("NOERROR 10.96.1.8", lambda: running.ask("other.shop.svc.cluster.local."))
    assert await running.ask() == "NOERROR 10.96.1.1"


async def test_an_edited_zone_file_changes_the_answer(running: Running) -> None:
    await running.warm("www.example.org.", "new.example.org.")
    running.put_zone(2, "192.0.2.2\nnew 60 A 192.0.2.3")
    await running.until("NOERROR 192.0.2.2", lambda: running.ask("www.example.org."))
    assert await running.ask("new.example.org.") == "NOERROR 192.0.2.3"


# ---- reload


async def test_reload(running: Running) -> None:
    await running.warm(WEB)
    running.text = running.text.replace("manifests {", "manifests {").replace(
        "        manifests", "        ttl 77\n        manifests"
    )
    assert await running.server.reload()
    reply = await dns.asyncquery.udp(
        dns.message.make_query(WEB, "A", use_edns=0, id=7),
        "127.0.0.1",
        timeout=30,
        port=running.port,
    )
    assert reply.answer[0].ttl == 77, "what was kept is from before"
    assert await running.failed_reloads() == "coredns_reload_failed_total 0.0"


@pytest.fixture
def _by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server does not look at its sources by itself."""
    monkeypatch.setattr(lifecycle, "TICK", 1000.0)


@pytest.mark.usefixtures("_by_hand")
async def test_the_garbage_collector_passes_over_what_stays(running: Running) -> None:
    """And after a reload over what stays then, while the generation before is freed."""
    gc.unfreeze()
    before = weakref.ref(running.server.core.generation)
    running.server.core.look_at_sources()
    assert gc.get_freeze_count() > 1000
    running.text = running.text.replace("        manifests", "        ttl 77\n        manifests")
    assert await running.server.reload()
    assert not gc.get_freeze_count()
    assert before() is None
    running.server.core.look_at_sources()
    assert gc.get_freeze_count() > 1000
    gc.unfreeze()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("errors", "erors"),
        (".:", "}"),
        ("bind 127.0.0.1", "bind 127.0.0.1 203.0.113.9"),
        ("/manifests\n", "/nope\n"),
        ("/db.example.org", "/db.broken"),
        ("errors", "errors\n    ready localhost:1\n    ready localhost:2"),
    ],
    ids=["directive", "syntax", "address", "manifests", "zone file", "twice"],
)
async def test_a_bad_reload_changes_nothing(
    running: Running, old: str, new: str, caplog: pytest.LogCaptureFixture
) -> None:
    good = running.text
    running.text = good.replace(old, new)
    assert running.text != good
    assert not await running.server.reload()
    assert await running.ask() == "NOERROR 10.96.1.1"
    assert await running.ask("www.example.org.", tcp=True) == "NOERROR 192.0.2.1"
    assert await running.failed_reloads() == "coredns_reload_failed_total 1.0"
    assert "reload failed, going on as before: " in caplog.text
    running.put("web", "10.96.1.9")
    await running.until("NOERROR 10.96.1.9", running.ask)
    running.text = good
    assert await running.server.reload()
    assert await running.ask() == "NOERROR 10.96.1.9"


async def test_a_reload_to_a_taken_http_port_changes_nothing(running: Running) -> None:
    with socket.create_server(("localhost", 0)) as taken:
        running.text = running.text.replace(f":{running.ready}", f":{taken.getsockname()[1]}")
        running.text = running.text.replace("bind 127.0.0.1", "bind 127.0.0.2")
        assert not await running.server.reload()
    assert await running.ask() == "NOERROR 10.96.1.1"
    assert running.listens()
    assert not running.listens("127.0.0.2")
    assert (await page(running.ready, "/ready"))[0] == 200


async def test_addresses_come_and_go_with_a_reload(running: Running) -> None:
    running.text = running.corefile("127.0.0.1 127.0.0.2")
    assert await running.server.reload()
    for host in ("127.0.0.1", "127.0.0.2"):
        for tcp in (False, True):
            assert await running.ask(host=host, tcp=tcp) == "NOERROR 10.96.1.1"
    running.text = running.corefile("127.0.0.2")
    assert await running.server.reload()
    for tcp in (False, True):
        assert await running.ask(host="127.0.0.2", tcp=tcp) == "NOERROR 10.96.1.1"
        assert not running.listens("127.0.0.1", tcp)
    running.put("web", "10.96.1.9")
    await running.until("NOERROR 10.96.1.9", lambda: running.ask(host="127.0.0.2"))


async def test_counters_of_an_address_that_went_stay(running: Running) -> None:
    counters = ("kdns_reply_cache_misses_total", "kdns_tcp_accepted_total")

    def counted() -> list[float]:
        text = running.server.core.metrics.expose().decode()
        lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if line[0] != "#")
        return [float(lines[name]) for name in counters]

    await running.ask()
    await running.ask(tcp=True)
    before = counted()
    assert all(value >= 1 for value in before)
    running.text = running.corefile("127.0.0.2")
    assert await running.server.reload()
    assert all(now >= then for now, then in zip(counted(), before, strict=True))


async def test_another_source_takes_over_with_a_reload(running: Running) -> None:
    other = running.folder / "other"
    other.mkdir()
    (other / "web.yaml").write_text(SERVICE.format(name="web", address="10.96.2.2"))
    running.text = running.text.replace("/manifests\n", "/other\n")
    assert await running.server.reload()
    assert await running.ask() == "NOERROR 10.96.2.2"
    running.put("web", "10.96.1.9")
    (other / "web.yaml").write_text(SERVICE.format(name="web", address="10.96.2.3"))
    await running.until("NOERROR 10.96.2.3", running.ask)


# ---- the end


async def test_lameduck_is_not_ready_and_answers_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended, sleep = asyncio.Event(), asyncio.sleep

    def until_ended(seconds: float, *result: object) -> object:
        return ended.wait() if seconds == 3600 else sleep(seconds, *result)

    monkeypatch.setattr(asyncio, "sleep", until_ended)
    server = Running(tmp_path)
    server.text = server.text.replace(
        f"health localhost:{server.health}", f"health localhost:{server.health} {{\nlameduck 1h\n}}"
    )
    await server.start()
    assert (await page(server.ready, "/ready"))[0] == 200
    assert server.task is not None
    server.server.stop()
    await asyncio.sleep(0)
    status, _ = await page(server.ready, "/ready")
    assert status == 503
    assert await server.ask() == "NOERROR 10.96.1.1"
    assert not server.task.done()
    ended.set()
    assert await server.task == 0
    assert not server.listens()
    assert not server.listens(tcp=True)
    assert await page(server.ready, "/ready") == (0, "")


async def test_an_open_connection_does_not_hinder_the_end(running: Running) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    try:
        assert await running.stop() == 0
        assert await asyncio.wait_for(reader.read(), 30) == b""
    finally:
        writer.close()


# ---- as a program

PROGRAM: Final = [sys.executable, "-m", "kdns"]


def run(*args: str) -> tuple[int, str, str]:
    """Exit status, standard output, standard error of a call that ends by itself."""
    done = subprocess.run(
        [*PROGRAM, *args], capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout, done.stderr


def test_version() -> None:
    status, output, errors = run("-version")
    assert (status, errors) == (0, "")
    assert output.splitlines()[0] == f"kdns {__version__}"


def test_plugins() -> None:
    assert run("-plugins") == (0, "".join(f"dns.{name}\n" for name in sorted(SUPPORTED)), "")


def test_a_file_that_is_not_there() -> None:
    message = "kdns: cannot read '/nope/Corefile': No such file or directory\n"
    assert run("-conf", "/nope/Corefile") == (1, "", message)


def test_a_file_that_cannot_be_used(tmp_path: Path) -> None:
    path = tmp_path / "Corefile"
    path.write_text(". {\n  errors\n  qqqq\n}\n")
    status, output, errors = run("-conf", str(path), "-dns.port", "0")
    assert (status, output) == (1, "")
    known = ", ".join(sorted(SUPPORTED))
    assert errors == f"kdns: {path}:3: unknown directive 'qqqq'; known are {known}\n"


def test_a_taken_port(tmp_path: Path) -> None:
    path, pidfile = tmp_path / "Corefile", tmp_path / "pid"
    path.write_text(". {\n  bind 127.0.0.1\n  whoami\n}\n")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = str(taken.getsockname()[1])
        found = run("-conf", str(path), "-dns.port", port, "-pidfile", str(pidfile))
    message = (
        f"kdns: cannot listen on 127.0.0.1:{port}: Address already in use"
        " (another program listens there: end it, or choose another port)\n"
    )
    assert found == (1, "", message)
    assert not pidfile.exists()


def test_a_pidfile_that_cannot_be_written(tmp_path: Path) -> None:
    path = tmp_path / "Corefile"
    path.write_text(". {\n  bind 127.0.0.1\n  whoami\n}\n")
    found = run("-conf", str(path), "-dns.port", "0", "-pidfile", "/nope/pid")
    assert found == (1, "", "kdns: cannot write '/nope/pid': No such file or directory\n")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["-dns.port", "70000"], "expected a port of 0 to 65535, not '70000'"),
        (["-dns.port", "x"], "expected a port of 0 to 65535, not 'x'"),
        (["-what"], "unrecognized arguments: -what"),
    ],
)
def test_wrong_usage(args: list[str], message: str) -> None:
    status, output, errors = run(*args)
    assert (status, output) == (2, "")
    assert message in errors
    assert errors.startswith("usage: kdns ")


@pytest.fixture
def program(tmp_path: Path) -> Site:
    site = Site(tmp_path)
    (tmp_path / "Corefile").write_text(site.corefile(port=5333).replace(".:5333", "."))
    return site


def start(site: Site, *args: str) -> Process:
    command = [*PROGRAM, "-conf", str(site.folder / "Corefile"), "-dns.port", str(site.port), *args]
    process = Process(command, site.folder / "log")
    process.wait_ready(lambda: answer(site) == "10.96.1.1", 60)
    return process


def answer(site: Site) -> str:
    try:
        reply = dns.query.tcp(
            dns.message.make_query(WEB, "A"), "127.0.0.1", timeout=30, port=site.port
        )
    except (EOFError, OSError):
        return "silence"
    return " ".join(item.to_text() for rrset in reply.answer for item in rrset)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(program: Site, number: signal.Signals) -> None:
    pidfile = program.folder / "pid"
    process = start(program, "-pidfile", str(pidfile))
    pid = int(pidfile.read_text())
    wait_until(
        lambda: "listening on" in (program.folder / "log").read_text(), 30, "the start's end"
    )
    os.kill(pid, number)
    assert process.wait() == 0
    assert not pidfile.exists()
    lines = (program.folder / "log").read_text().splitlines()
    folder = program.folder
    assert [line.partition(", python ")[0] for line in lines] == [
        f"[INFO] manifests {folder}/manifests: 4 objects",
        f"[INFO] zone example.org.: serial 1, 3 records, {folder}/db.example.org",
        f"[INFO] kdns {__version__}",
        f"[INFO] listening on 127.0.0.1:{program.port} for .",
        "[INFO] stopped",
    ]


def test_quiet(program: Site) -> None:
    process = start(program, "-quiet")
    assert process.stop() == 0
    text = (program.folder / "log").read_text()
    assert not any(word in text for word in ("python", "listening", "stopped"))


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1])
def test_a_signal_reloads(program: Site, number: signal.Signals) -> None:
    process = start(program, "-pidfile", str(program.folder / "pid"))
    pid = int((program.folder / "pid").read_text())
    path, log = program.folder / "Corefile", program.folder / "log"
    good = path.read_text()
    try:
        path.write_text(good.replace("errors", "erors"))
        os.kill(pid, number)
        wait_until(lambda: "reload failed" in log.read_text(), 30, "the failure's line")
        line = f"{path}:3: unknown directive 'erors'; did you mean errors?"
        line = f"[ERROR] reload failed, going on as before: {line}"
        assert line in log.read_text().splitlines()
        assert answer(program) == "10.96.1.1"
        path.write_text(good.replace("manifests\n", "other\n"))
        (program.folder / "other").mkdir()
        (program.folder / "other" / "web.yaml").write_text(
            SERVICE.format(name="web", address="10.96.3.3")
        )
        os.kill(pid, number)
        wait_until(lambda: answer(program) == "10.96.3.3", 30, "the new source")
    finally:
        assert process.stop() == 0
