"""The commands on a real API server: they list once, say what is there, and end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from kdns.cli import main
from tests.cluster.controlplane import ControlPlane
from tests.fakes.nameserver import NameServer

NAMESPACE = "commands"
NAME = f"web.{NAMESPACE}.svc.cluster.local."
WEB = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web", "namespace": NAMESPACE},
    "spec": {"ports": [{"name": "http", "port": 80}]},
}
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "asker", "namespace": NAMESPACE},
    "spec": {
        "containers": [{"name": "c", "image": "i"}],
        "dnsPolicy": "None",
        "dnsConfig": {
            "nameservers": ["127.0.0.1"],
            "searches": [f"{NAMESPACE}.svc.cluster.local"],
            "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}],
        },
    },
}


@pytest.fixture(scope="module")
def plane(control_plane: ControlPlane) -> Iterator[ControlPlane]:
    control_plane.api.ensure_namespace(NAMESPACE)
    control_plane.api.apply([WEB, POD])
    yield control_plane
    control_plane.api.delete("Namespace", "", NAMESPACE)


@pytest.fixture
def address(plane: ControlPlane) -> str:
    found = plane.api.get("Service", NAMESPACE, "web")
    assert found
    return str(found["spec"]["clusterIP"])


@pytest.fixture
def access(plane: ControlPlane) -> list[str]:
    return ["--kubeconfig", str(plane.kubeconfig.reader)]


def test_dump_and_explain(
    access: list[str], address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["dump", "cluster.local", *access]) == 0
    assert f"{NAME} 5 IN A {address}" in capsys.readouterr().out.splitlines()
    assert main.main(["explain", "web", "-n", NAMESPACE, *access]) == 0
    out = capsys.readouterr().out
    assert f"Service     {NAMESPACE}/web" in out
    assert "at resourceVersion " in out
    assert main.main(["explain", "webb", "-n", NAMESPACE, "--json", *access]) == 1
    assert json.loads(capsys.readouterr().out)["reasons"] == [
        f"no Service webb in namespace {NAMESPACE}; did you mean web?"
    ]


def test_two_moments(
    access: list[str], tmp_path: Path, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["dump", "all", "-o", str(tmp_path), *access]) == 0
    zone = tmp_path / "db.cluster.local"
    zone.write_text(zone.read_text().replace(f"{NAME} 5 IN A {address}\n", ""))
    capsys.readouterr()
    assert main.main(["diff", str(tmp_path), "api", *access]) == 1
    assert f"+ {NAME} A {address}" in capsys.readouterr().out.splitlines()


def test_as_a_pod(access: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with NameServer(f"{NAME} 5 IN A 10.0.0.1") as server:
        words = ["query", "web", "--pod", f"{NAMESPACE}/asker", "-p", str(server.port), *access]
        assert main.main(words) == 0
        assert f"search {NAMESPACE}.svc.cluster.local; ndots 2;" in capsys.readouterr().out
        assert main.main([*words, "--pod", f"{NAMESPACE}/nobody"]) == 1
        assert f"there is no Pod {NAMESPACE}/nobody" in capsys.readouterr().err


def test_what_is_forbidden_is_said(plane: ControlPlane, capsys: pytest.CaptureFixture[str]) -> None:
    access = ["--kubeconfig", str(plane.kubeconfig.restricted)]
    assert main.main(["dump", "cluster.local", *access]) == 1
    err = capsys.readouterr().err
    assert "forbidden" in err
    assert "nothing listed within" not in err
