"""What the rows of a run share: the control plane, its contents, the servers. Made when first used."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Final, Literal, TypeAlias

from bench import cluster, corefiles, load, servers
from bench.cluster import EMPTY, Size
from bench.corefiles import NOT_YET, Ports
from bench.load import Background, Load, LoadResult
from bench.servers import Server
from tests.cluster.controlplane import ControlPlane
from tests.cluster.processes import free_dns_port

Program: TypeAlias = Literal["kdns", "coredns"]
Corefile: TypeAlias = Literal["kubeadm", "kubernetes", "shortnames"]

OUTSIDE: Final = "outside.test"
"""A zone of the upstream, which stands for the rest of the world."""
OUTSIDE_NAMES: Final = tuple(f"host-{at}.{OUTSIDE}" for at in range(100))


class Lab:
    """Everything in one folder. ``close`` ends all processes."""

    def __init__(self, folder: Path, rounds: int, seconds: float, kdns: Path) -> None:
        self.folder, self.rounds, self.seconds, self.kdns = folder, rounds, seconds, kdns
        self._size: Size | None = None
        self._servers: dict[tuple[str, ...], Server] = {}
        self._large: set[tuple[int, int]] = set()
        self._made = 0

    @cached_property
    def plane(self) -> ControlPlane:
        """The running control plane."""
        self.say("starting the control plane")
        plane = ControlPlane(self.folder / "plane")
        plane.start()
        return plane

    def grow(self, size: Size) -> None:
        """See to it that the cluster has at least so much; running servers follow."""
        now = self._size or EMPTY
        more = Size(max(now.services, size.services), max(now.headless, size.headless))
        if more != self._size:
            self.say(f"filling the cluster: {more}")
            cluster.grow(self.plane, now, more)
            self._size = more

    def add_large(self, endpoints: int, numbers: Iterable[int]) -> None:
        """See to it that headless Services of so many endpoints are in the cluster."""
        missing = [at for at in numbers if (endpoints, at) not in self._large]
        if missing:
            self.say(f"adding {len(missing)} Services of {endpoints:,} endpoints")
            cluster.add_large(self.plane, endpoints, missing)
            self._large.update((endpoints, at) for at in missing)

    def remove_large(self) -> None:
        """Take them out again."""
        if self._large:
            cluster.remove_large(self.plane)
            self._large.clear()

    @property
    def is_empty(self) -> bool:
        """Whether nothing was put into the cluster yet."""
        return self._size in {None, EMPTY}

    # ---- servers

    def server(self, program: Program, corefile: Corefile) -> Server:
        """A server on the cluster, the same one for every row."""
        key = (program, corefile)
        if key not in self._servers:
            self._servers[key], _ = self.start(program, corefile)
        return self._servers[key]

    def start(
        self,
        program: Program,
        corefile: Corefile,
        options: Sequence[str] = (),
        upstream: Server | None = None,
        wrapper: Sequence[str] = (),
    ) -> tuple[Server, float]:
        """A fresh server, once it is ready, and the seconds that took. The caller stops it.

        ``upstream`` is another one than the usual, ``wrapper`` a command that executes the server.
        """
        health, ready, metrics = servers.free_ports(3)
        forward_to = (upstream or self.upstream).port
        ports = Ports(free_dns_port(), health, ready, metrics, forward_to)
        path = self.path(f"{program}-{corefile}.Corefile")
        path.write_text(self._corefile(program, corefile, ports))
        binary = servers.coredns() if program == "coredns" else self.kdns
        command: list[str | Path] = [*wrapper, binary, "-conf", path, *options]
        server = Server(command, ports.dns, path.with_suffix(".log"))
        seconds = server.wait_ready(ready)
        server.metrics_port = 0 if corefile == "kubernetes" else metrics
        return server, seconds

    def _corefile(self, program: Program, corefile: Corefile, ports: Ports) -> str:
        kubeconfig = self.plane.kubeconfig.reader
        if corefile == "kubernetes":
            return corefiles.kubernetes_alone(ports, kubeconfig)
        if corefile == "shortnames":
            return corefiles.with_shortnames(ports, kubeconfig, cluster.NAMESPACE)
        return corefiles.kubeadm(ports, kubeconfig, NOT_YET if program == "kdns" else ())

    @cached_property
    def upstream(self) -> Server:
        """The name server that ``forward`` queries."""
        return self._add("upstream", servers.upstream(self.folder))

    @cached_property
    def silent_upstream(self) -> Server:
        return self._add("silent", servers.upstream(self.folder, silent=True))

    @cached_property
    def echo(self) -> Server:
        return self._add("echo", servers.echo(self.folder))

    @cached_property
    def knot(self) -> Server:
        """Knot with the Services' names in a zone file."""
        services = self._size.services if self._size else 0
        zone = "svc.cluster.local"
        records = [
            f"svc-{at}.{cluster.namespace(at)} 30 A {cluster.cluster_ip(at)}"
            for at in range(services)
        ]
        return self._add("knot", servers.knot(self.folder, zone, records))

    def _add(self, name: str, server: Server) -> Server:
        self._servers[name,] = server
        return server

    # ---- loads

    def send(self, messages: Load, server: Server) -> LoadResult:
        """Load the server by ``load.c``."""
        return load.run(messages, server.port, self.folder)

    def sending(self, messages: Load, server: Server) -> Background:
        """The same beside what else is measured."""
        command = load.command(messages, server.port, self.folder)
        return Background(command, self.path("load.log"))

    def path(self, name: str) -> Path:
        """A new path in the folder of this run."""
        self._made += 1
        return self.folder / f"{self._made}-{name}"

    @staticmethod
    def say(text: str) -> None:
        """Show the progress."""
        print(f"  {text}", file=sys.stderr, flush=True)

    def close(self) -> None:
        for server in self._servers.values():
            server.stop()
        if "plane" in self.__dict__:
            self.plane.stop()
