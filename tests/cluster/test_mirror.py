"""The real controllers as the oracle of ``records.mirror``: same manifests, same slices."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

import pytest
import yaml

from kdns.records import cluster, declared, schema
from kdns.records.objects import Kind, Slice
from tests.cluster.controlplane import ControlPlane
from tests.cluster.rest import CONFLICT, Api, ApiError, Json
from tests.records.mirror_cases import CASES, Case, lines

SETTLE = 40.0
"""Seconds until the controllers must have agreed; they take well below one."""
Labels: TypeAlias = set[frozenset[tuple[str, str]]]
FINALIZER = "kdns.test/hold"


@pytest.fixture
def namespace(control_plane: ControlPlane, request: pytest.FixtureRequest) -> Iterator[str]:
    words = re.sub(r"[^a-z]+", "-", request.node.callspec.id.lower()).strip("-")
    name = f"mirror-{words}"[:63].rstrip("-")
    control_plane.api.ensure_namespace(name)
    yield name
    release = {"metadata": {"finalizers": None}}
    for pod in control_plane.api.list("Pod", name):
        if "deletionTimestamp" in pod["metadata"]:
            control_plane.api.patch("Pod", name, pod["metadata"]["name"], release)
    control_plane.api.delete("Namespace", "", name)


def apply(api: Api, namespace: str, manifest: str) -> None:
    terminating = []
    for document in filter(None, yaml.safe_load_all(manifest)):
        metadata: dict[str, Any] = document["metadata"]
        if document["kind"] != "Node":
            metadata["namespace"] = namespace
        if metadata.pop("deletionTimestamp", None):
            metadata["finalizers"] = [FINALIZER]
            terminating.append(metadata["name"])
        try:
            api.create(document)
        except ApiError as error:
            # The controller makes Endpoints of a Service by itself, a moment after it has seen it.
            if error.status != CONFLICT or document["kind"] != "Endpoints":
                raise
            api.patch("Endpoints", namespace, metadata["name"], document)
    for name in terminating:
        api.delete("Pod", namespace, name)


def real(api: Api, namespace: str) -> tuple[list[str], Labels]:
    """Endpoint lines, and the sets of labels, of the slices that are not empty."""
    items = [each for each in api.list("EndpointSlice", namespace) if each.get("endpoints")]
    decoded = [schema.from_mapping(Kind.SLICE, each).object for each in items]
    labels = {frozenset(each["metadata"]["labels"].items()) for each in items}
    return lines(each for each in decoded if isinstance(each, Slice)), labels


def made(documents: Iterable[Json]) -> tuple[list[str], Labels]:
    """Do the same with what we make of manifests."""
    read = [declared.read(each) for each in documents]
    labelled = list(cluster.slices([each for each in read if each is not None]))
    labels = {frozenset(labels.items()) for _, _, labels in labelled}
    return lines(each for _, each, _ in labelled if isinstance(each, Slice)), labels


def dump(api: Api, namespace: str) -> Iterator[Json]:
    """What ``kubectl get -o json`` would have: the items of a list do not say their kind."""
    for kind in ("Service", "Pod", "Endpoints"):
        for each in api.list(kind, namespace):
            yield {**each, "apiVersion": "v1", "kind": kind}
    for each in api.list("EndpointSlice", namespace):
        yield {**each, "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice"}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_real_controllers_make_the_same(
    control_plane: ControlPlane, namespace: str, case: Case
) -> None:
    api = control_plane.api
    apply(api, namespace, case.manifest)
    expected = made(filter(None, yaml.safe_load_all(case.manifest)))
    deadline = time.monotonic() + SETTLE
    while (found := real(api, namespace)) != expected and time.monotonic() < deadline:
        time.sleep(0.05)
    assert found == expected
    # A dump of this cluster as a manifest: the real slices are kept, and none is made again.
    assert made(dump(api, namespace)) == expected
