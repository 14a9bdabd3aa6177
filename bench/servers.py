"""The programs that are measured: started on free ports of loopback, ready when they say so."""

from __future__ import annotations

import shutil
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from bench import compiled, usage
from bench.rounds import NotRunError
from tests.cluster import programs
from tests.cluster.processes import Process, free_dns_port, free_port, wait_until

READY_SECONDS: Final = 60
_ENVIRONMENT: Final = {"PYTHONDONTWRITEBYTECODE": ""}  # compiled once, as what is installed is
_PROBE: Final = bytes.fromhex("0001 0100 0001 0000 0000 0000 00 0001 0001")  # . A


class Server:
    """A running server and what it uses."""

    def __init__(self, command: Sequence[str | Path], port: int, log: Path) -> None:
        self.port = port
        self.started = time.perf_counter()
        self.process = Process(command, log, _ENVIRONMENT)
        self.metrics_port = 0
        """Where ``/metrics`` is; 0 for nowhere."""

    def cpu_seconds(self) -> float:
        return usage.cpu_seconds(self.process.pid)

    def cpu_nanoseconds(self) -> int:
        return usage.cpu_nanoseconds(self.process.pid)

    def pss_bytes(self) -> int:
        return usage.pss_bytes(self.process.pid)

    def resident_bytes(self) -> int:
        return usage.resident_bytes(self.process.pid)

    def wait_answering(self) -> None:
        """Wait for any reply over UDP."""
        self.process.wait_ready(lambda: answers(self.port), READY_SECONDS)

    def wait_ready(self, port: int) -> float:
        """Wait for ``/ready`` at a port of loopback, and for a reply: CoreDNS binds its sockets last.

        Returns the seconds since the program was started.
        """
        deadline = self.started + READY_SECONDS
        while not (http_ok(f"http://127.0.0.1:{port}/ready") and answers(self.port)):
            if not self.process.running or time.perf_counter() > deadline:
                raise NotRunError(f"{self.process.name} is not ready: {self.process.tail(1)}")
            time.sleep(0.002)
        return time.perf_counter() - self.started

    def stop(self) -> None:
        self.process.kill()


def coredns() -> Path:
    """The program CoreDNS. Raises ``MissingProgramError``."""
    return programs.require("coredns")


def kdns() -> Path:
    """The program kdns, of the environment that this runs in."""
    return Path(sys.executable).with_name("kdns")


def echo(folder: Path) -> Server:
    """The bare echo."""
    return _of_ours("echo", folder)


def upstream(folder: Path, silent: bool = False) -> Server:
    """The name server that ``forward`` queries; a silent one never replies."""
    return _of_ours("upstream", folder, "silent") if silent else _of_ours("upstream", folder)


def _of_ours(name: str, folder: Path, *options: str) -> Server:
    """One of the C programs of this folder, answering unless it is to be silent."""
    port = free_dns_port()
    log = folder / f"{name}-{port}.log"
    server = Server([compiled.program(name, folder), str(port), *options], port, log)
    if not options:
        server.wait_answering()
    return server


def knot(folder: Path, zone: str, records: Iterable[str]) -> Server:
    """Knot with one zone, one UDP worker (as kdns has one process)."""
    binary = shutil.which("knotd") or shutil.which("knotd", path="/usr/sbin")
    if binary is None:
        raise NotRunError("Knot is not installed (tests/programs.sh installs it)")
    home = folder / f"knot-{zone}"
    home.mkdir()
    soa = f"@ 30 SOA ns hostmaster 1 7200 1800 86400 30\n@ 30 NS ns\nns 30 A {SELF}\n"
    (home / "zone").write_text(f"$ORIGIN {zone}.\n{soa}" + "".join(f"{r}\n" for r in records))
    port = free_dns_port()
    (home / "knot.conf").write_text(
        f'server:\n    rundir: "{home}"\n    listen: 127.0.0.1@{port}\n'
        "    udp-workers: 1\n    tcp-workers: 1\n    background-workers: 1\n"
        f'database:\n    storage: "{home}"\n'
        f"zone:\n  - domain: {zone}\n    file: {home}/zone\n    zonefile-sync: -1\n"
    )
    server = Server([binary, "-c", home / "knot.conf"], port, home / "log")
    server.wait_answering()
    wait_until(lambda: answers(port, rcode_of=zone), READY_SECONDS, f"Knot serving {zone}")
    return server


SELF: Final = "127.0.0.1"


def answers(port: int, rcode_of: str = "") -> bool:
    """Whether there is a reply; with a name, whether it is NOERROR."""
    labels = rcode_of.split(".") if rcode_of else []
    name = b"".join(bytes([len(label)]) + label.encode() for label in labels)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.2)
        try:
            client.connect((SELF, port))  # so that a closed port is reported at once
            client.send(_PROBE[:12] + name + _PROBE[12:])
            reply = client.recv(4096)
        except OSError:
            return False
    return not rcode_of or reply[3] & 0xF == 0


def connected(port: int, seconds: float) -> socket.socket:
    """A UDP socket to a port of loopback that waits so long for a reply."""
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.settimeout(seconds)
    client.connect((SELF, port))
    return client


def http_ok(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def http_text(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as reply:
        text: str = reply.read().decode()
    return text


def free_ports(count: int) -> list[int]:
    """Different free TCP ports."""
    found: dict[int, None] = {}
    while len(found) < count:
        found[free_port()] = None
    return list(found)
