"""kdns and CoreDNS side by side on one cluster: the same but for what docs/differences.md lists."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import repeat
from pathlib import Path
from typing import Final

import pytest
import yaml

from tests.cluster import peer_rules, programs
from tests.cluster.conftest import provide
from tests.cluster.controlplane import ControlPlane
from tests.cluster.neighbourhood import questions
from tests.cluster.observation import Asker, Observation, Question, observe, request
from tests.cluster.peer_rules import RULES, explain, without_reasons
from tests.cluster.rest import Json
from tests.conformance import cases
from tests.conformance.cases import Case
from tests.conformance.subjects import Server, corefile, load

CASES: Final = ("cluster_ip", "external_name", "headless", "options", "pods_verified", "tree")
DIFFERENCES: Final = Path(__file__).parents[2] / "docs" / "differences.md"
UNLABELLED: Final[Json] = {
    "apiVersion": "discovery.k8s.io/v1",
    "kind": "EndpointSlice",
    "metadata": {"name": "unlabelled", "namespace": "peer-headless"},
    "addressType": "IPv4",
    "ports": [],
    "endpoints": [{"addresses": ["10.244.77.1"]}],
}
VARIANTS: Final = {
    "as kubeadm has it": "pods insecure\nttl 30",
    "every Pod": "pods verified\nendpoint_pod_names\nzonal",
    "few namespaces": "namespaces peer-headless peer-tree missing\nignore empty_service",
    "no endpoints": "noendpoints",
}


@pytest.fixture(scope="module")
def plane(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ControlPlane]:
    """The objects of several conformance cases, each in a namespace of its own.

    Not the control plane of the other tests: all owner names of this one are asked for.
    """
    provide(request, *programs.CONTROL_PLANE, programs.COREDNS)
    plane = ControlPlane(tmp_path_factory.mktemp("peer"))
    try:
        plane.start()
        manifests = [manifest for name in CASES for manifest in _moved(name)]
        load(plane, [*manifests, UNLABELLED])
        yield plane
    finally:
        plane.stop()


def _moved(name: str) -> list[Json]:
    """A case's objects with its namespaces renamed; the API gives out the ClusterIPs."""
    case = cases.load(cases.FOLDER / f"{name}.yaml")
    text = yaml.safe_dump(case.manifests)
    prefix = f"peer-{name.replace('_', '-')}"
    manifests: list[Json] = yaml.safe_load(text.replace("shop", prefix).replace("store", prefix))
    for manifest in manifests:
        spec = manifest.get("spec", {})
        if spec.get("clusterIP", "None") != "None":
            del spec["clusterIP"]
            spec.pop("clusterIPs", None)
    unique = {(m["kind"], m["metadata"]["name"]): m for m in manifests}
    return list(unique.values())


@pytest.fixture(scope="module")
def objects(plane: ControlPlane) -> list[Json]:
    kinds = ("Namespace", "Service", "EndpointSlice", "Pod")
    return [{**item, "kind": kind} for kind in kinds for item in plane.api.list(kind)]


def compare(
    plane: ControlPlane,
    folder: Path,
    options: str,
    asked: list[Question],
    requests: list[bytes],
) -> Iterator[tuple[Question, Observation, Observation]]:
    """What either says to each question, kdns first."""
    external = cases.load(cases.FOLDER / "external_name.yaml")
    case = Case("peer", [], kubernetes=options, blocks=external.blocks, files=external.files)
    for name, text in case.files.items():
        (folder / name).write_text(text)
    text = corefile(case, f"kubeconfig {plane.kubeconfig.reader}", folder)
    kdns, coredns = (Server(subject, text, folder) for subject in ("kdns", "coredns"))
    try:
        kdns.wait_synced()
        coredns.wait_synced()
        with closing(Asker(kdns.port)) as ours, closing(Asker(coredns.port)) as theirs:
            with ThreadPoolExecutor() as at_once:
                replies = at_once.map(Asker.exchange, (ours, theirs), repeat(requests))
            yield from zip(asked, *(map(observe, each) for each in replies), strict=True)
    finally:
        kdns.stop()
        coredns.stop()


@pytest.mark.timeout(900)  # 40 s on two idle cores
def test_answers_agree_but_for_the_listed_differences(
    plane: ControlPlane,
    objects: list[Json],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = questions(objects)
    requests = [request(question) for question in asked]
    used: Counter[str] = Counter()
    unexplained: list[str] = []
    start = time.monotonic()
    for options in VARIANTS.values():
        for question, ours, theirs in compare(plane, tmp_path, options, asked, requests):
            if without_reasons(ours) == theirs:
                continue
            rule = explain(question, ours, theirs)
            if rule is None:
                unexplained.append(f"{question}\n  kdns    {ours}\n  CoreDNS {theirs}")
            else:
                used[rule.id] += 1
    with capsys.disabled():
        total = len(asked) * len(VARIANTS)
        print(f"\n{total} questions in {time.monotonic() - start:.0f} s; differences {dict(used)}")
    count = len(unexplained)
    assert not unexplained, f"{count} differences of no rule\n" + "\n".join(unexplained[:40])
    assert not {rule.id for rule in RULES} - used.keys(), "rules that nothing used"


def test_every_rule_is_documented() -> None:
    text = DIFFERENCES.read_text()
    assert [rule.id for rule in RULES if f"`{rule.id}`" not in text] == []


def test_no_rule_excuses_a_wrong_address() -> None:
    """The rules tell what either says; anything else stays a difference."""
    right = Observation("NOERROR", ("AA",), ("web 5 A 10.0.0.1",))
    wrong = Observation("NOERROR", ("AA",), ("web 5 A 10.0.0.2",))
    for rdtype in ("A", "SRV", "PTR", "TXT", "SOA", "ANY"):
        question = Question("web.shop.svc.cluster.local.", rdtype)
        assert peer_rules.explain(question, right, wrong) is None
        assert peer_rules.explain(question, Observation("NXDOMAIN"), right) is None
