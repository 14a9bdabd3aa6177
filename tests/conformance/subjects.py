"""The server under test, chosen by ``KDNS_TEST_SUBJECT``: ``kdns`` (default) or ``coredns``."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import dns.edns
import dns.exception
import dns.rcode
import yaml

from tests.cluster import programs
from tests.cluster.controlplane import ControlPlane
from tests.cluster.processes import Process, free_dns_port, wait_until
from tests.cluster.rest import Json
from tests.conformance.cases import Case
from tests.conformance.client import ask, question

SUBJECT: Final = os.environ.get("KDNS_TEST_SUBJECT", "kdns")
COMMANDS: Final[Mapping[str, list[str]]] = {
    "kdns": [sys.executable, "-m", "kdns"],
    "coredns": [programs.COREDNS],
}
_START_SECONDS: Final = 60


class Server:
    """A DNS server on a free port of 127.0.0.1 that has read all its objects."""

    def __init__(self, subject: str, corefile: str, folder: Path) -> None:
        self.port = free_dns_port()
        path = folder / "Corefile"
        path.write_text(corefile)
        program, *arguments = COMMANDS[subject]
        if program == programs.COREDNS:
            program = str(programs.require(programs.COREDNS))
        command = [program, *arguments, "-conf", str(path), "-dns.port", str(self.port)]
        self.process = Process(command, folder / f"{subject}.log")

    def wait_synced(self) -> float:
        """Wait until what is not there is denied, which is only known after a full list."""
        return self.process.wait_ready(self._synced, _START_SECONDS)

    def _synced(self) -> bool:
        """Each kind of name waits for lists of its own; kdns says by an Extended DNS Error that it does."""
        names = (
            "no-such-service.default.svc A",
            "1.1.1.10.in-addr.arpa. PTR",
            "10-1-1-1.default.pod A",
        )
        try:
            replies = [ask(self.port, question(name, edns=0), tcp=True) for name in names]
        except (OSError, EOFError, dns.exception.DNSException):
            return False
        errors = [o.code for r in replies for o in r.options if isinstance(o, dns.edns.EDEOption)]
        return replies[0].rcode() != dns.rcode.SERVFAIL and dns.edns.EDECode.NOT_READY not in errors

    def stop(self) -> int:
        return self.process.stop()


def corefile(case: Case, source: str, folder: Path) -> str:
    """One server block for everything; ``source`` is the option that says where objects come from."""
    options = "\n        ".join([source, *case.kubernetes.strip().splitlines()])
    plugins = "\n    ".join(case.plugins.strip().splitlines())
    block = f"""\
. {{
    bind 127.0.0.1
    errors
    kubernetes {" ".join(case.zones)} {{
        {options}
    }}
    {plugins}
}}
{case.blocks}"""
    return block.replace("FOLDER", str(folder))


def start(case: Case, folder: Path, plane: ControlPlane | None) -> Server:
    """Start the subject with the case's objects: from files, or through a real API server."""
    for name, text in case.files.items():
        (folder / name).write_text(text)
    if plane is None:
        manifests = folder / "manifests"
        manifests.mkdir()
        (manifests / "case.yaml").write_text(yaml.safe_dump_all(case.manifests))
        source = f"manifests {manifests}"
    else:
        load(plane, case.manifests)
        source = f"kubeconfig {plane.kubeconfig.reader}"
    server = Server(SUBJECT, corefile(case, source, folder), folder)
    server.wait_synced()
    return server


def load(plane: ControlPlane, manifests: list[Json]) -> None:
    """Create the objects, and wait for the controllers to have made what follows from them."""
    # The API server makes the Service default/kubernetes itself.
    plane.api.apply(m for m in manifests if m["metadata"]["name"] != "kubernetes")
    wanted = {
        (service["metadata"].get("namespace", "default"), service["metadata"]["name"]): addresses
        for service in manifests
        if service["kind"] == "Service" and (addresses := _selected(service, manifests))
    }
    wait_until(lambda: all(_sliced(plane, *s) >= w for s, w in wanted.items()), 60, "slices")


def _selected(service: Json, manifests: list[Json]) -> set[str]:
    """Addresses of the Pods that a Service selects, of the families that it has."""
    namespace = service["metadata"].get("namespace", "default")
    selector: dict[str, Any] | None = service["spec"].get("selector")
    families = service["spec"].get("ipFamilies", ["IPv4"])
    return {
        ip["ip"]
        for pod in manifests
        if selector and pod["kind"] == "Pod"
        if pod["metadata"].get("namespace", "default") == namespace
        if selector.items() <= pod["metadata"].get("labels", {}).items()
        for ip in pod.get("status", {}).get("podIPs", ())
        if ("IPv6" if ":" in ip["ip"] else "IPv4") in families
    }


def _sliced(plane: ControlPlane, namespace: str, service: str) -> set[str]:
    slices = plane.api.list("EndpointSlice", namespace, f"kubernetes.io/service-name={service}")
    endpoints = [endpoint for one in slices for endpoint in one["endpoints"] or ()]
    return {address for endpoint in endpoints for address in endpoint["addresses"]}
