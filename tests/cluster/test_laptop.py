"""``kdns laptop`` on a real control plane: names, a login that expires, a network that is away."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.cluster.controlplane import ControlPlane
from tests.cluster.processes import Process, free_dns_port
from tests.cluster.rest import NODE, Json

ROOT: Final = Path(__file__).parents[2]
NAMESPACE: Final = "laptop"
MOMENT: Final = 60.0

pytestmark = pytest.mark.skipif(
    shutil.which("dig") is None, reason="dig (bind9-dnsutils) is missing"
)


class Laptop(Process):
    """``kdns laptop``, asked with dig. ``folder`` is its user's home."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.port = free_dns_port()
        listen = ("--listen", f"127.0.0.1:{self.port}", "--upstream", "127.0.0.1:1")
        command = [sys.executable, "-m", "kdns", "laptop", *listen, *words]
        path = os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", "")))
        super().__init__(command, folder / "log", {"HOME": str(folder), "PYTHONPATH": path})

    def dig(self, *words: str) -> str:
        command = ["dig", "@127.0.0.1", "-p", str(self.port), "+tries=1", "+time=10", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout

    def short(self, *words: str) -> list[str]:
        return sorted(self.dig("+short", *words).split("\n")[:-1])

    def wait_for(self, name: str, text: str, seconds: float = MOMENT) -> float:
        return self.wait_ready(lambda: text in self.dig(name), seconds)

    def wait_current(self) -> None:
        self.wait_ready(lambda: "Stale Answer" not in self.dig("web"), MOMENT)


@pytest.fixture(scope="module")
def plane(control_plane: ControlPlane) -> Iterator[ControlPlane]:
    api = control_plane.api
    api.ensure_namespace(NAMESPACE)
    addresses = [{"type": "InternalIP", "address": "198.51.100.9"}]
    api.patch_status("Node", "", NODE, {"addresses": addresses})
    api.create(service("web"))
    api.create(service("node-port", type="NodePort"))
    api.create(service("balanced", type="LoadBalancer"))
    ingress = {"loadBalancer": {"ingress": [{"ip": "198.51.100.7"}]}}
    api.patch_status("Service", NAMESPACE, "balanced", ingress)
    yield control_plane
    api.delete("Namespace", "", NAMESPACE)


def service(name: str, **spec: object) -> Json:
    ports = [{"port": 80, "name": "http"}]
    metadata = {"name": name, "namespace": NAMESPACE}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"ports": ports, **spec},
    }


def cluster_ip(plane: ControlPlane, name: str) -> str:
    found = plane.api.get("Service", NAMESPACE, name)
    assert found is not None
    return str(found["spec"]["clusterIP"])


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., Laptop]]:
    running: list[Laptop] = []

    def start(*words: str) -> Laptop:
        running.append(Laptop(tmp_path, *words))
        return running[-1]

    yield start
    for laptop in running:
        laptop.stop()


def kubeconfig(plane: ControlPlane, path: Path, **changes: object) -> Path:
    """The administrator's; its context has a namespace, and there is a second one."""
    config = json.loads(plane.kubeconfig.admin.read_text())
    config["contexts"][0]["context"]["namespace"] = NAMESPACE
    config["contexts"].append({**config["contexts"][0], "name": "other"})
    path.write_text(json.dumps(config | changes))
    return path


def test_names(plane: ControlPlane, tmp_path: Path, run: Callable[..., Laptop]) -> None:
    """As little is said as possible: the current context and its namespace."""
    path = kubeconfig(plane, tmp_path / "config")
    laptop = run("--kubeconfig", str(path), "--answer", "both", "--context=test", "--context=other")
    web = cluster_ip(plane, "web")
    # Every cluster has lists of its own, and so have Services, endpoints and Nodes.
    laptop.wait_for("web", "NOERROR")
    for zone in ("cluster.internal", "other.cluster.internal"):
        laptop.wait_for(f"web.{NAMESPACE}.svc.{zone}", web)
        laptop.wait_for(f"node-port.{NAMESPACE}.external.{zone}", "198.51.100.9")
    laptop.wait_ready(lambda: NAMESPACE in laptop.dig("-x", web), MOMENT)
    for name in ("web", f"web.{NAMESPACE}", f"web.{NAMESPACE}.svc"):
        assert web in laptop.short(name), name
    for zone in ("cluster.local", "cluster.internal", "other.cluster.internal"):
        assert laptop.short(f"web.{NAMESPACE}.svc.{zone}") == [web]
    assert laptop.short("-x", web) == [f"web.{NAMESPACE}.svc.cluster.internal."]
    for zone in ("external.cluster.internal", "external.other.cluster.internal"):
        assert laptop.short(f"balanced.{NAMESPACE}.{zone}") == ["198.51.100.7"]
        assert laptop.short(f"node-port.{NAMESPACE}.{zone}") == ["198.51.100.9"]
        assert " ra" in laptop.dig(f"balanced.{NAMESPACE}.{zone}").partition("flags:")[2]
    assert "has no external address" in laptop.dig(f"web.{NAMESPACE}.external.cluster.internal")
    plane.api.create(service("later"))
    laptop.wait_for("later", "NOERROR")


def test_addresses_outside(plane: ControlPlane, tmp_path: Path, run: Callable[..., Laptop]) -> None:
    path = kubeconfig(plane, tmp_path / "config")
    laptop = run("--kubeconfig", str(path), "--answer", "external")
    laptop.wait_for("balanced", "198.51.100.7")
    laptop.wait_for("node-port", "198.51.100.9")
    found = plane.api.get("Service", NAMESPACE, "node-port")
    assert found is not None
    port = found["spec"]["ports"][0]["nodePort"]
    full = f"node-port.{NAMESPACE}.svc.cluster.internal."
    assert laptop.short("-t", "SRV", f"_http._tcp.{full}") == [f"0 100 {port} {full}"]
    assert f"node ports {port} (http)" in laptop.dig(full)
    assert "has no external address and no node port" in laptop.dig("web")


PLUGIN: Final = """#!{python}
import pathlib, sys
answer = pathlib.Path(__file__).with_name("credentials")
if not answer.exists():
    sys.exit("session expired, please log in")
print(answer.read_text())
"""


def test_login_that_has_expired(
    plane: ControlPlane, tmp_path: Path, run: Callable[..., Laptop]
) -> None:
    """Other names resolve meanwhile; it says what is wrong; it needs no restart."""
    program = tmp_path / "plugin"
    program.write_text(PLUGIN.format(python=sys.executable))
    program.chmod(stat.S_IRWXU)
    admin = json.loads(plane.kubeconfig.admin.read_text())
    user = admin["users"][0]
    files = {name: Path(user["user"][name]).read_text() for name in user["user"]}
    version = "client.authentication.k8s.io/v1"
    execute = {"command": str(program), "apiVersion": version, "interactiveMode": "Never"}
    users = [{"name": user["name"], "user": {"exec": execute}}]
    laptop = run("--kubeconfig", str(kubeconfig(plane, tmp_path / "config", users=users)))
    laptop.wait_for("web", "session expired")
    assert "SERVFAIL" in laptop.dig("web")
    assert laptop.short("version.bind", "-c", "CH", "-t", "TXT")[0].startswith('"kdns-')
    reverse = laptop.dig("-x", "192.0.2.1")
    assert "session expired" not in reverse, "names that may be elsewhere are asked there"
    said = laptop.log.read_text()
    status = {
        "clientCertificateData": files["client-certificate"],
        "clientKeyData": files["client-key"],
    }
    answer = {"apiVersion": version, "kind": "ExecCredential", "status": status}
    (tmp_path / "credentials").write_text(json.dumps(answer))
    laptop.wait_for("web", cluster_ip(plane, "web"), 90)
    more = laptop.log.read_text().removeprefix(said)
    assert "session expired" not in more, "said once"


def test_away(plane: ControlPlane, tmp_path: Path, run: Callable[..., Laptop]) -> None:
    """The cluster cannot be reached for a while, which costs the tests some seconds: once for all.

    One goes on, with a context that is deleted meanwhile; one starts anew, from its snapshot; one
    sleeps, and what it was connected with is gone when it wakes.
    """
    path = kubeconfig(plane, tmp_path / "config")
    whole, web = path.read_text(), cluster_ip(plane, "web")
    restarted = run("--kubeconfig", str(path))
    going_on = run("--kubeconfig", str(path), "--context", "other", "--no-snapshot")
    asleep = run("--kubeconfig", str(path), "--no-snapshot")
    for laptop in (restarted, going_on, asleep):
        laptop.wait_for("web", web)
    snapshots = tmp_path / ".cache" / "kdns"
    restarted.wait_ready(lambda: bool([*snapshots.glob("test-*.json")]), MOMENT)
    asleep.pause()
    plane.kill_apiserver()
    try:
        assert restarted.stop() == 0
        restarted = run("--kubeconfig", str(path))
        restarted.wait_for("web", "this is the snapshot of")
        kubeconfig(plane, path, contexts=json.loads(whole)["contexts"][:1])
        going_on.wait_ready(lambda: "no entry named 'other'" in going_on.log.read_text(), MOMENT)
        going_on.wait_for("web", "Stale Answer")
        assert web in going_on.dig("web")
    finally:
        plane.start_apiserver()
    plane.api.create(service("overnight"))
    asleep.resume()
    for laptop in (asleep, restarted):
        laptop.wait_for("overnight", "NOERROR")
        laptop.wait_current()
    path.write_text(whole)
    going_on.wait_for("overnight", "NOERROR")
    assert going_on.log.read_text().count("no entry named 'other'") == 1, "said once"
    # One may be being written.
    assert {each.name.rpartition("-")[0] for each in snapshots.iterdir()} == {"test"}
