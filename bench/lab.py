"""What the rows of a run share: the control plane, its contents, the servers. Made when first asked for."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Final, Literal, TypeAlias

from bench import cluster, corefiles, servers
from bench.cluster import EMPTY, Size
from bench.corefiles import NOT_YET, Ports
from bench.servers import Server
from tests.cluster.controlplane import ControlPlane
from tests.cluster.processes import free_dns_port

Program: TypeAlias = Literal["kdns", "coredns"]
Corefile: TypeAlias = Literal["kubeadm", "kubernetes"]

OUTSIDE: Final = "outside.test"
"""The zone of the upstream, which stands for the rest of the world."""
OUTSIDE_NAMES: Final = 100


class Lab:
    """Everything in one folder. ``close`` ends all processes."""

    def __init__(self, folder: Path, rounds: int, seconds: float) -> None:
        self.folder, self.rounds, self.seconds = folder, rounds, seconds
        self._size: Size | None = None
        self._servers: dict[tuple[str, ...], Server] = {}
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
        self, program: Program, corefile: Corefile, options: Sequence[str] = ()
    ) -> tuple[Server, float]:
        """A fresh server, once it is ready, and the seconds that took. The caller stops it."""
        health, ready, metrics = servers.free_ports(3)
        ports = Ports(free_dns_port(), health, ready, metrics, self.upstream.port)
        path = self.path(f"{program}-{corefile}.Corefile")
        path.write_text(self._corefile(program, corefile, ports))
        make = servers.kdns if program == "kdns" else servers.coredns
        server = make(path, ports.dns, path.with_suffix(".log"), options)
        seconds = server.wait_ready(ready)
        server.metrics_port = metrics if corefile == "kubeadm" else 0
        return server, seconds

    def _corefile(self, program: Program, corefile: Corefile, ports: Ports) -> str:
        kubeconfig = self.plane.kubeconfig.reader
        if corefile == "kubernetes":
            return corefiles.kubernetes_alone(ports, kubeconfig)
        return corefiles.kubeadm(ports, kubeconfig, NOT_YET if program == "kdns" else ())

    @cached_property
    def upstream(self) -> Server:
        """The name server that ``forward`` asks."""
        folder = self.folder / "upstream"
        folder.mkdir()
        records = [f"host-{at} 3600 A 192.0.2.{at}" for at in range(OUTSIDE_NAMES)]
        return self._add("upstream", servers.knot(folder, OUTSIDE, records))

    @cached_property
    def echo(self) -> Server:
        return self._add("echo", servers.echo(self.folder))

    @cached_property
    def knot(self) -> Server:
        """Knot with the Services' names in a zone file."""
        services = self._size.services if self._size else 0
        records = [f"svc-{at} 30 A {cluster.cluster_ip(at)}" for at in range(services)]
        return self._add("knot", servers.knot(self.folder, cluster.DOMAIN, records))

    def _add(self, name: str, server: Server) -> Server:
        self._servers[name,] = server
        return server

    # ---- loads

    def path(self, name: str) -> Path:
        """A file of this run that nobody else has."""
        self._made += 1
        return self.folder / f"{self._made}-{name}"

    @staticmethod
    def say(text: str) -> None:
        """Tell who waits what is going on."""
        print(f"  {text}", file=sys.stderr, flush=True)

    def close(self) -> None:
        for server in self._servers.values():
            server.stop()
        if "plane" in self.__dict__:
            self.plane.stop()
