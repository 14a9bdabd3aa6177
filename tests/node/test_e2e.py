"""Upstream's own end-to-end tests of DNS, k8s.io/kubernetes/test/e2e/network, against kdns and CoreDNS."""

from __future__ import annotations

import subprocess
from typing import Final, NamedTuple
from xml.etree import ElementTree

import pytest

from tests.node import places, servers
from tests.node.conftest import Say
from tests.node.node import Node

FOCUS: Final = r"\[sig-network\] DNS"
SKIP: Final = "Feature:|Provider:"
"""Features that are not on by default, ten minutes of 10,000 Services, and what needs GCE."""

SPECS: Final = 19


class Results(NamedTuple):
    """By the specs' names; seconds of all."""

    passed: tuple[str, ...]
    failed: tuple[str, ...]
    seconds: float


@pytest.fixture(scope="module")
def results(node: Node, say: Say) -> dict[str, Results]:
    subprocess.run([places.HERE / "programs.sh", "e2e"], check=True, stdin=subprocess.DEVNULL)
    found = {}
    for name, deploy in {"coredns": servers.deploy_coredns, "kdns": servers.deploy_kdns}.items():
        servers.remove(node)
        deploy(node)
        found[name] = _run(node)
        passed, failed, seconds = found[name]
        say(f"e2e, {name}: {len(passed)} passed, {len(failed)} failed in {seconds:.0f} s {failed}")
    return found


def _run(node: Node) -> Results:
    report = places.NODE / "e2e.xml"
    report.unlink(missing_ok=True)
    node.try_run(
        *(places.PROGRAMS / "e2edns.test", f"--kubeconfig={node.folder}/admin.kubeconfig"),
        *("--provider=skeleton", f"--kubectl-path={places.PROGRAMS}/kubectl"),
        *(f"--ginkgo.focus={FOCUS}", f"--ginkgo.skip={SKIP}", "--ginkgo.timeout=10m"),
        *("--ginkgo.no-color", "--ginkgo.succinct", f"--ginkgo.junit-report={report}"),
        seconds=700,
    )
    cases = [
        (case.get("name", ""), case.get("status"), float(case.get("time", "0")))
        for case in ElementTree.parse(report).iter("testcase")
        if "[It]" in case.get("name", "") and case.get("status") not in {"skipped", "pending"}
    ]
    passed = tuple(name for name, status, _ in cases if status == "passed")
    failed = tuple(name for name, status, _ in cases if status != "passed")
    return Results(passed, failed, sum(seconds for *_, seconds in cases))


@pytest.mark.timeout(1500)
def test_every_spec_passes(results: dict[str, Results]) -> None:
    assert results["kdns"].failed == ()
    assert len(results["kdns"].passed) == SPECS


def test_what_coredns_passes(results: dict[str, Results]) -> None:
    assert set(results["coredns"].passed) <= set(results["kdns"].passed)


def test_no_slower_than_coredns(results: dict[str, Results]) -> None:
    """Some seconds are for the kubelet's probes, which come when they come."""
    assert results["kdns"].seconds <= results["coredns"].seconds * 1.15 + 10
