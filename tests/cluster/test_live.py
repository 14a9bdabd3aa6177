"""The main job on real input: kdns watches a real API server, ``dig`` reads what it makes of it."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.cluster.controlplane import ControlPlane
from tests.cluster.processes import free_port, wait_until
from tests.cluster.rest import Json
from tests.conformance.cases import Case
from tests.conformance.subjects import Server, corefile

NAMESPACE: Final = "live"
MOMENT: Final = 10.0
"""Seconds within which a change, and the API's return, must show."""

pytestmark = pytest.mark.skipif(
    shutil.which("dig") is None, reason="dig (bind9-dnsutils) is missing"
)


class Live(Server):
    """kdns on the control plane, asked with dig."""

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        self.http = free_port()
        case = Case("live", [], kubernetes="pods verified", plugins=f"ready 127.0.0.1:{self.http}")
        super().__init__("kdns", corefile(case, f"kubeconfig {kubeconfig}", folder), folder)

    def dig(self, name: str, rdtype: str = "A", *options: str) -> str:
        command = ["dig", "@127.0.0.1", "-p", str(self.port), "+tries=1", "+time=10", *options]
        full = name if name.endswith(".") else f"{name}.{NAMESPACE}.svc.cluster.local."
        done = subprocess.run([*command, full, rdtype], capture_output=True, text=True, check=False)
        return done.stdout

    def short(self, name: str, rdtype: str = "A") -> list[str]:
        return sorted(self.dig(name, rdtype, "+short").split("\n")[:-1])

    def status(self, name: str, rdtype: str = "A") -> str:
        return self.dig(name, rdtype).partition("status: ")[2].partition(",")[0]

    def ready(self) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/ready", timeout=30) as page:
                return page.status, page.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()


@pytest.fixture(scope="module")
def plane(control_plane: ControlPlane) -> Iterator[ControlPlane]:
    control_plane.api.ensure_namespace(NAMESPACE)
    control_plane.wait_controllers(NAMESPACE)
    yield control_plane
    control_plane.api.delete("Namespace", "", NAMESPACE)


@pytest.fixture(scope="module")
def kdns(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    server = Live(plane.kubeconfig.reader, tmp_path_factory.mktemp("live"))
    server.wait_synced()
    yield server
    assert server.stop() == 0


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    def say(text: str) -> None:
        with capsys.disabled():
            print(f"\n  {text}", end="")

    return say


def service(name: str, namespace: str = NAMESPACE, **spec: object) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"ports": [{"name": "http", "port": 80}], **spec},
    }


def pod(name: str, address: str, ready: bool = True, **spec: object) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "labels": {"app": name.split("-", maxsplit=1)[0]},
        },
        "spec": {**spec},
        "status": status(address, ready),
    }


def status(address: str, ready: bool) -> Json:
    return {
        "phase": "Running",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "conditions": [{"type": "Ready", "status": str(ready)}],
    }


def answers(kdns: Live, name: str, wanted: list[str], rdtype: str = "A") -> float:
    """Wait for exactly these answers; milliseconds it took."""
    what = f"{name} {rdtype} = {wanted}"
    return wait_until(lambda: kdns.short(name, rdtype) == wanted, MOMENT, what) * 1000


def denied(kdns: Live, name: str, rdtype: str = "A") -> float:
    what = f"{name} {rdtype} = NXDOMAIN"
    return wait_until(lambda: kdns.status(name, rdtype) == "NXDOMAIN", MOMENT, what) * 1000


def test_a_service_from_its_creation_to_its_end(
    plane: ControlPlane, kdns: Live, say: Callable[[str], None]
) -> None:
    api, took = plane.api, {}
    assert kdns.status("web") == "NXDOMAIN"  # a kept negative answer must not hide it
    address = api.create(service("web"))["spec"]["clusterIP"]
    took["created"] = answers(kdns, "web", [address])
    assert kdns.short("_http._tcp.web", "SRV") == [f"0 100 80 web.{NAMESPACE}.svc.cluster.local."]
    api.patch("Service", NAMESPACE, "web", {"spec": {"ports": [{"name": "http", "port": 8080}]}})
    port = [f"0 100 8080 web.{NAMESPACE}.svc.cluster.local."]
    took["port changed"] = answers(kdns, "_http._tcp.web", port, "SRV")
    external = {"type": "ExternalName", "externalName": "www.example.com", "clusterIP": None}
    api.patch("Service", NAMESPACE, "web", {"spec": {**external, "clusterIPs": None}})
    took["ExternalName"] = answers(kdns, "web", ["www.example.com."], "CNAME")
    back = {"type": "ClusterIP", "externalName": None, "clusterIP": None}
    address = api.patch("Service", NAMESPACE, "web", {"spec": back})["spec"]["clusterIP"]
    took["ClusterIP again"] = answers(kdns, "web", [address])
    api.delete("Service", NAMESPACE, "web")
    took["deleted"] = denied(kdns, "web")
    selector = {"app": "db"}
    api.create(pod("db-7", "10.244.7.7"))
    api.create(service("web", clusterIP="None", selector=selector))
    took["headless"] = answers(kdns, "web", ["10.244.7.7"])
    api.delete("Pod", NAMESPACE, "db-7")
    took["its Pod deleted"] = denied(kdns, "web")
    api.delete("Service", NAMESPACE, "web")
    say(f"ms until dig saw it: { ({k: round(v) for k, v in took.items()}) }")


def test_an_explanation_names_the_version_that_it_is_of(plane: ControlPlane, kdns: Live) -> None:
    made = plane.api.create(service("told"))
    address = made["spec"]["clusterIP"]
    answers(kdns, "told", [address])
    name = f"told.{NAMESPACE}.svc.cluster.local.explain.kdns."
    told = kdns.dig(name, "TXT", "+short")
    assert f"object: Service {NAMESPACE}/told: ClusterIP {address}; ports http:80/tcp" in told
    found = re.search(r"source: services at resourceVersion (\d+), confirmed \d+ s ago", told)
    assert found, told
    assert int(found[1]) >= int(made["metadata"]["resourceVersion"])
    assert "nobody answers at its ClusterIP" in told
    plane.api.delete("Service", NAMESPACE, "told")


def test_a_headless_service_follows_its_pods(
    plane: ControlPlane, kdns: Live, say: Callable[[str], None]
) -> None:
    api, took = plane.api, {}
    api.create(service("db", clusterIP="None", selector={"app": "db"}))
    assert kdns.status("db") == "NXDOMAIN"
    api.create(pod("db-0", "10.244.7.1", hostname="db-0", subdomain="db"))
    took["first Pod"] = answers(kdns, "db", ["10.244.7.1"])
    api.create(pod("db-1", "10.244.7.2", hostname="db-1", subdomain="db"))
    api.create(pod("db-2", "10.244.7.3", ready=False, hostname="db-2", subdomain="db"))
    took["scaled"] = answers(kdns, "db", ["10.244.7.1", "10.244.7.2"])
    api.patch_status("Pod", NAMESPACE, "db-2", status("10.244.7.3", True))
    took["became ready"] = answers(kdns, "db", ["10.244.7.1", "10.244.7.2", "10.244.7.3"])
    assert kdns.short("db-2.db") == ["10.244.7.3"]
    assert kdns.short(f"10-244-7-3.{NAMESPACE}.pod.cluster.local.") == ["10.244.7.3"]
    api.patch_status("Pod", NAMESPACE, "db-0", status("10.244.7.1", False))
    took["not ready"] = answers(kdns, "db", ["10.244.7.2", "10.244.7.3"])
    assert kdns.status("db-0.db") == "NXDOMAIN"
    name = f"db-1.db.{NAMESPACE}.svc.cluster.local."
    assert kdns.short("2.7.244.10.in-addr.arpa.", "PTR") == [name]
    for number in range(3):
        api.delete("Pod", NAMESPACE, f"db-{number}")
    took["scaled to nothing"] = denied(kdns, "db")
    api.delete("Service", NAMESPACE, "db")
    say(f"ms until dig saw it: { ({k: round(v) for k, v in took.items()}) }")


def test_a_namespace_comes_and_goes(plane: ControlPlane, kdns: Live) -> None:
    name = "web.brief.svc.cluster.local."
    assert kdns.status(name) == "NXDOMAIN"
    plane.api.ensure_namespace("brief")
    wait_until(lambda: kdns.status("brief.svc.cluster.local.") == "NOERROR", MOMENT, "NODATA")
    address = plane.api.create(service("web", "brief"))["spec"]["clusterIP"]
    made = pod("db-9", "10.244.7.9")
    plane.api.create({**made, "metadata": {"name": "db-9", "namespace": "brief"}})
    answers(kdns, name, [address])
    plane.api.delete("Namespace", "", "brief")
    wait_until(lambda: plane.api.get("Namespace", "", "brief") is None, 30, "its end")
    denied(kdns, name)
    denied(kdns, "brief.svc.cluster.local.")


def test_the_time_from_the_request_to_the_answer(
    plane: ControlPlane, kdns: Live, say: Callable[[str], None]
) -> None:
    """Without dig, whose own start takes longer than all the rest."""
    from tests.cluster.observation import Asker, Question

    asker, took = Asker(kdns.port), []
    for number in range(50):
        question = Question(f"s{number}.{NAMESPACE}.svc.cluster.local.", "A")
        plane.api.create(service(f"s{number}"))
        start = time.perf_counter()
        while not asker.ask(question).answer:
            assert time.perf_counter() - start < MOMENT
        took.append((time.perf_counter() - start) * 1000)
    asker.close()
    for number in range(50):
        plane.api.delete("Service", NAMESPACE, f"s{number}")
    took.sort()
    say(f"created → answered after the API's reply: median {took[25]:.1f} ms, worst {took[-1]:.1f}")


def converges(plane: ControlPlane, kdns: Live, name: str) -> float:
    """The API is back: a change made now must show within ``MOMENT``. Seconds it took."""
    start = time.monotonic()
    address = plane.api.create(service(name))["spec"]["clusterIP"]
    answers(kdns, name, [address])
    plane.api.delete("Service", NAMESPACE, name)
    denied(kdns, name)
    return time.monotonic() - start


@pytest.fixture
def steady(plane: ControlPlane, kdns: Live) -> Iterator[list[str]]:
    """The answer of a Service that must never go away; its name is ``steady``."""
    wanted = [plane.api.create(service("steady"))["spec"]["clusterIP"]]
    answers(kdns, "steady", wanted)
    yield wanted
    plane.revive()
    kdns.process.resume()
    plane.api.delete("Service", NAMESPACE, "steady")


def test_killed_api_server(
    plane: ControlPlane, kdns: Live, steady: list[str], say: Callable[[str], None]
) -> None:
    plane.kill_apiserver()
    assert kdns.short("steady") == steady
    wait_until(lambda: "EDE: 3" in kdns.dig("steady"), MOMENT, "the answer is marked as stale")
    assert kdns.short("steady") == steady
    plane.start_apiserver()
    say(f"seen {converges(plane, kdns, 'after-kill'):.2f} s after the API's return")
    wait_until(lambda: "EDE: 3" not in kdns.dig("steady"), MOMENT, "the mark goes")


def test_api_server_lost_again_and_again(
    plane: ControlPlane, kdns: Live, steady: list[str], say: Callable[[str], None]
) -> None:
    took = []
    for number in range(5):
        plane.kill_apiserver()
        assert kdns.short("steady") == steady
        plane.start_apiserver()
        took.append(converges(plane, kdns, f"after-{number}"))
    say(f"seen {', '.join(f'{each:.2f}' for each in took)} s after the API's returns")


def test_silent_api_server(
    plane: ControlPlane, kdns: Live, steady: list[str], say: Callable[[str], None]
) -> None:
    plane.pause_apiserver()
    start = time.monotonic()
    while "EDE: 3" not in kdns.dig("steady"):
        assert kdns.short("steady") == steady
        assert time.monotonic() - start < 60, "no mark of staleness"
        time.sleep(0.2)
    noticed = time.monotonic() - start
    assert kdns.short("steady") == steady
    plane.resume_apiserver()
    plane.wait_ready()
    back = converges(plane, kdns, "after-pause")
    say(f"noticed after {noticed:.2f} s; seen {back:.2f} s after the API's return")
    wait_until(lambda: "EDE: 3" not in kdns.dig("steady"), MOMENT, "the mark goes")


def test_history_compacted_while_away(
    plane: ControlPlane, kdns: Live, steady: list[str], say: Callable[[str], None]
) -> None:
    """What was deleted meanwhile goes, though no event will ever tell."""
    plane.api.create(service("doomed"))
    wait_until(lambda: kdns.status("doomed") == "NOERROR", MOMENT, "doomed")
    kdns.process.pause()
    plane.api.delete("Service", NAMESPACE, "doomed")
    plane.compact_etcd()
    plane.kill_apiserver()
    plane.start_apiserver()
    kdns.process.resume()
    say(f"gone {denied(kdns, 'doomed') / 1000:.2f} s after kdns woke up")
    assert kdns.short("steady") == steady
    converges(plane, kdns, "after-compaction")


def test_older_snapshot_put_back(
    plane: ControlPlane, kdns: Live, steady: list[str], say: Callable[[str], None]
) -> None:
    """Revisions go backwards, which CoreDNS never notices."""
    snapshot = plane.snapshot()
    # More of them than what an API server writes by itself when it starts.
    for number in range(30):
        plane.api.create(service(f"later-{number}"))
    wait_until(lambda: kdns.status("later-29") == "NOERROR", MOMENT, "later-29")
    plane.api.delete("Service", NAMESPACE, "steady")
    denied(kdns, "steady")
    late = plane.revision()
    plane.restore(snapshot)
    assert plane.revision() < late
    start = time.monotonic()
    answers(kdns, "steady", steady)
    denied(kdns, "later-29")
    say(f"converged {time.monotonic() - start:.2f} s after the API's return")
    converges(plane, kdns, "after-restore")


def test_missing_rights_are_named_and_the_rest_is_served(
    plane: ControlPlane, tmp_path: Path
) -> None:
    plane.api.apply([service("plain"), service("headless", clusterIP="None")])
    kdns = Live(plane.kubeconfig.restricted, tmp_path)
    try:
        plain = plane.api.get("Service", NAMESPACE, "plain")
        assert plain is not None
        wait_until(lambda: kdns.short("plain") == [plain["spec"]["clusterIP"]], MOMENT, "plain")
        reply = kdns.dig("headless")
        assert "status: SERVFAIL" in reply
        assert "EDE" in reply
        assert "endpointslices" in reply.partition("EDE")[2]
        assert kdns.status("nope") == "NXDOMAIN"
        code, page = kdns.ready()
        assert code == 503
        assert "forbidden" in page
        assert "endpointslices" in page
        log = [line for line in kdns.process.log.read_text().splitlines() if "forbidden" in line]
        assert len(log) == 1, log
        assert "list" in log[0]
        assert "endpointslices" in log[0]
    finally:
        assert kdns.stop() == 0
    for name in ("plain", "headless"):
        plane.api.delete("Service", NAMESPACE, name)
