"""Upstream's own end-to-end tests of DNS, k8s.io/kubernetes/test/e2e/network, against kdns and CoreDNS."""

from __future__ import annotations

import subprocess
from pathlib import Path
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

SEEDS: Final = (1, 2)
"""Of the specs' order: three end by killing all DNS Pods, and what comes next may wait for new ones."""


SERVERS: Final = {"coredns": servers.deploy_coredns, "kdns": servers.deploy_kdns}


class Results(NamedTuple):
    """By the specs' names; seconds, the least of its runs.

    Most specs look each five seconds whether their Pods are done: to be a moment late costs five seconds.
    """

    times: dict[str, float]
    failed: tuple[str, ...]

    @property
    def passed(self) -> set[str]:
        return self.times.keys() - set(self.failed)

    @property
    def seconds(self) -> float:
        return sum(self.times.values())

    def beside(self, other: Results) -> Results:
        """Both runs."""
        specs = self.times.keys() & other.times.keys()
        times = {spec: min(self.times[spec], other.times[spec]) for spec in specs}
        return Results(times, (*self.failed, *other.failed))


@pytest.fixture(scope="module")
def results(node: Node, say: Say) -> dict[str, Results]:
    subprocess.run([places.HERE / "programs.sh", "e2e"], check=True, stdin=subprocess.DEVNULL)
    found: dict[str, Results] = {}
    for seed in SEEDS:
        for name, deploy in SERVERS.items():
            servers.remove(node)
            deploy(node)
            result = _run(node, places.NODE / f"e2e-{name}-{seed}.xml", seed)
            found[name] = result.beside(found[name]) if name in found else result
            passed = f"{len(result.passed)} passed in {result.seconds:.0f} s"
            say(f"e2e, order {seed}, {name}: {passed}, failed: {result.failed}")
    for spec, seconds in found["kdns"].times.items():
        say(f"{found['coredns'].times.get(spec, 0):5.1f} s {seconds:5.1f} s {spec}")
    return found


def _run(node: Node, report: Path, seed: int) -> Results:
    report.unlink(missing_ok=True)
    node.try_run(
        *(places.PROGRAMS / "e2edns.test", f"--kubeconfig={node.folder}/admin.kubeconfig"),
        *("--provider=skeleton", f"--kubectl-path={places.PROGRAMS}/kubectl"),
        *(f"--ginkgo.focus={FOCUS}", f"--ginkgo.skip={SKIP}", "--ginkgo.timeout=10m"),
        f"--ginkgo.seed={seed}",
        *("--ginkgo.no-color", "--ginkgo.succinct", f"--ginkgo.junit-report={report}"),
        seconds=700,
    )
    cases = [
        case
        for case in ElementTree.parse(report).iter("testcase")
        if "[It]" in case.get("name", "") and case.get("status") not in {"skipped", "pending"}
    ]
    times = {case.get("name", ""): float(case.get("time", "0")) for case in cases}
    bad = (case.get("name", "") for case in cases if case.get("status") != "passed")
    return Results(times, tuple(bad))


def test_every_spec_passes(results: dict[str, Results]) -> None:
    assert results["kdns"].failed == ()
    assert len(results["kdns"].passed) == SPECS


def test_what_coredns_passes(results: dict[str, Results]) -> None:
    assert results["coredns"].passed <= results["kdns"].passed


def test_no_slower_than_coredns(results: dict[str, Results]) -> None:
    """Five seconds are one look of one spec."""
    assert results["kdns"].seconds <= results["coredns"].seconds + 5
