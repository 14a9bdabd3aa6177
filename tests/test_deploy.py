"""Dockerfile and deploy/: what can be told from their text. On a real node: tests/node."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from kdns.config import corefile
from kdns.config.access import ApiAccess
from kdns.metrics import families
from kdns.metrics.family import Family
from kdns.server import generation
from kdns.sources import files
from kdns.sources.resources import watched

ROOT: Final = Path(__file__).parents[1]
DEPLOY: Final = ROOT / "deploy"
MANIFESTS: Final = sorted(DEPLOY.rglob("*.yaml"))
PROMETHEUS: Final = DEPLOY / "overlays" / "prometheus"

Object = dict[str, Any]


def objects(path: Path) -> list[Object]:
    return [each for each in yaml.safe_load_all(path.read_text()) if each]


def base(kind: str) -> Object:
    (found,) = (
        each
        for path in (DEPLOY / "base").glob("*.yaml")
        for each in objects(path)
        if each.get("kind") == kind
    )
    return found


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_manifests_parse(path: Path) -> None:
    assert objects(path)


def test_every_file_is_used() -> None:
    for path in DEPLOY.rglob("kustomization.yaml"):
        (own,) = objects(path)
        used = {path.name, *own.get("resources", ()), "dashboard.json", "patch.yaml"}
        assert {each.name for each in path.parent.iterdir() if each.is_file()} <= used


def test_rights_are_those_used() -> None:
    granted = {
        (resource, verb)
        for rule in base("ClusterRole")["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    names = {each.title.partition(".")[0] for each in watched(ApiAccess(pods=True))}
    assert granted == {(name, verb) for name in names for verb in ("list", "watch")}


def test_rights_of_multicluster() -> None:
    (role, _) = objects(DEPLOY / "overlays" / "multicluster" / "rbac.yaml")
    (rule,) = role["rules"]
    more = {*watched(ApiAccess(imports=True))} - {*watched(ApiAccess())}
    assert [each.title for each in more] == [f"{rule['resources'][0]}.{rule['apiGroups'][0]}"]
    assert rule["verbs"] == ["list", "watch"]


def test_corefile_starts() -> None:
    text = base("ConfigMap")["data"]["Corefile"]
    blocks = corefile.parse(text, "Corefile", load=files.load, environment=os.environ)
    (plan,) = generation.plan(blocks)
    assert plan.warnings == ()


def test_ports_are_those_of_the_corefile() -> None:
    (container,) = base("Deployment")["spec"]["template"]["spec"]["containers"]
    ports = {(port["containerPort"], port["protocol"]) for port in container["ports"]}
    assert ports == {(53, "UDP"), (53, "TCP"), (9153, "TCP"), (8080, "TCP"), (8181, "TCP")}
    service = {(port["targetPort"], port["protocol"]) for port in base("Service")["spec"]["ports"]}
    assert service <= ports


def test_image_is_locked() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert "--require-hashes" in text
    assert "--only-binary :all:" in text
    copied = set(re.findall(r"^COPY (?!--)(.*) \S+$", text, re.MULTILINE))
    allowed = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    for source in " ".join(copied).split():
        assert any(source == each or source.startswith(f"{each}/") for each in allowed), source
        assert (ROOT / source).exists()


# ---- what Prometheus is to look at


def expressions() -> Iterator[str]:
    for group in objects(PROMETHEUS / "prometheusrule.yaml")[0]["spec"]["groups"]:
        yield from (rule["expr"] for rule in group["rules"])
    dashboard = json.loads((PROMETHEUS / "dashboard.json").read_text())
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel["targets"])


@pytest.mark.parametrize("expression", [*expressions()])
def test_series_exist(expression: str) -> None:
    """A misspelt one would never fire, and say nothing."""
    known = {each.name: each for each in vars(families).values() if isinstance(each, Family)}
    named = re.findall(r"\b(?:coredns|kdns)_\w+", expression)
    assert named or re.search(r"\b(up|process_\w+)\b", expression)
    for name in named:
        assert re.sub(r"_bucket$", "", name) in known


@pytest.mark.parametrize("expression", [*expressions()])
def test_labels_exist(expression: str) -> None:
    """Beside those that Prometheus adds."""
    added = {"job", "instance", "pod", "le"}
    known = {
        label
        for each in vars(families).values()
        if isinstance(each, Family)
        for label in each.labels
    }
    grouped = re.findall(r"by \(([\w, ]+)\)", expression)
    selected = re.findall(r"(\w+)\s*(?:=~|!=|=)\s*\"", expression)
    assert {*selected, *", ".join(grouped).split(", ")} - {""} <= known | added
