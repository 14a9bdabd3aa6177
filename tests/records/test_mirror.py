"""What a cluster makes of declared objects: slices, addresses, namespaces, and what is watched of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import yaml

from kdns.records import cluster, declared, mirror, selectors
from kdns.records.cluster import Selection
from kdns.records.declared import Declared
from kdns.records.objects import Gone, Kind, Namespace, Pod, Put, Service, Slice
from tests.records.mirror_cases import CASES, Case, lines


def declare(text: str) -> list[Declared]:
    read = (declared.read(each) for each in yaml.safe_load_all(text) if each)
    return [each for each in read if each is not None]


def service(
    name: str = "web", namespace: str = "default", labels: object = None, **spec: Any
) -> Declared:
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    made = declared.read(
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}
    )
    assert made is not None
    return made


def pod(name: str, namespace: str = "default", **more: Any) -> Declared:
    metadata = {"name": name, "namespace": namespace, "labels": {"app": "web"}}
    made = declared.read({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, **more})
    assert made is not None
    return made


def slices(objects: Sequence[Declared], selection: Selection = Selection()) -> list[Slice]:  # noqa: B008
    return [
        each for each in cluster.assemble(objects, selection).values() if isinstance(each, Slice)
    ]


def addresses(objects: Sequence[Declared]) -> dict[str, tuple[str, ...]]:
    state = cluster.assemble(objects, Selection(pods=True))
    return {
        f"{each.namespace}/{each.name}": each.ips if isinstance(each, Pod) else each.cluster_ips
        for each in state.values()
        if isinstance(each, (Service, Pod))
    }


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_makes_the_slices_of_the_controllers(case: Case) -> None:
    expected = sorted(line.strip() for line in case.expected.strip().splitlines())
    assert lines(slices(declare(case.manifest))) == expected


def test_a_pod_without_status_runs_and_is_ready() -> None:
    made = slices(
        [service(selector={"app": "web"}, clusterIP="None"), pod("a"), pod("b", status={})]
    )
    assert [(each.pod, each.ready) for each in made[0].endpoints] == [("a", True), ("b", True)]
    given = addresses([pod("a"), pod("b")])
    assert made[0].endpoints[0].addresses == given["default/a"][:1]
    assert all(
        each[0].startswith("10.244.") and each[1].startswith("fd00:10:244::")
        for each in given.values()
    )


def test_a_pod_with_a_status_gets_no_address() -> None:
    assert addresses([pod("a", status={"phase": "Pending"})]) == {"default/a": ()}


def test_slices_bear_the_labels_of_their_service() -> None:
    web = service(
        selector={"app": "web"},
        clusterIP="None",
        labels={"team": "x", mirror.SERVICE_NAME: "false", mirror.MANAGED_BY: "me"},
    )
    for text, count in (("team=x", 1), ("team=y", 0), ("kubernetes.io/service-name=web", 1)):
        assert len(slices([web, pod("a")], Selection(labels=selectors.parse(text)))) == count
    assert slices(
        [web, pod("a")], Selection(labels=selectors.parse("service.kubernetes.io/headless"))
    )


def test_takes_the_work_of_real_controllers_from_a_dump_as_done() -> None:
    text = CASES["headless, ready and not ready"].manifest + (
        "---\n{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: web-x7k2p, labels:"
        " {kubernetes.io/service-name: web,"
        " endpointslice.kubernetes.io/managed-by: endpointslice-controller.k8s.io}},"
        " endpoints: [{addresses: [10.9.9.9]}]}\n"
    )
    assert lines(slices(declare(text))) == ["web 10.9.9.9 ready - - - -"]


GIVEN = {
    "given": ({"clusterIP": "10.101.1.1"}, ["10.101.1.1"]),
    "given twice": (
        {"clusterIP": "10.101.1.1", "clusterIPs": ["10.101.1.1", "fd00::1"]},
        ["10.101.1.1", "fd00::1"],
    ),
    "made": ({}, ["10."]),
    "empty": ({"clusterIP": "", "type": "NodePort"}, ["10."]),
    "balancer": ({"type": "LoadBalancer"}, ["10."]),
    "single": ({"ipFamilyPolicy": "SingleStack"}, ["10."]),
    "six": ({"ipFamilies": ["IPv6"]}, ["fd00:10:96::"]),
    "both": ({"ipFamilyPolicy": "PreferDualStack"}, ["10.", "fd00:10:96::"]),
    "six first": (
        {"ipFamilies": ["IPv6", "IPv4"], "ipFamilyPolicy": "RequireDualStack"},
        ["fd00:10:96::", "10."],
    ),
    "second one made": (
        {"clusterIP": "fd00::7", "ipFamilyPolicy": "RequireDualStack"},
        ["fd00::7", "10."],
    ),
    "headless": ({"clusterIP": "None"}, []),
    "alias": ({"type": "ExternalName", "externalName": "example.org"}, []),
}


@pytest.mark.parametrize(("spec", "prefixes"), GIVEN.values(), ids=GIVEN.keys())
def test_cluster_ips(spec: dict[str, Any], prefixes: list[str]) -> None:
    ips = addresses([service(**spec)])["default/web"]
    assert len(ips) == len(prefixes)
    assert all(ip.startswith(prefix) for ip, prefix in zip(ips, prefixes, strict=True))


def test_made_addresses_are_stable_and_never_meet() -> None:
    objects = [service(f"s{n}", ipFamilyPolicy="PreferDualStack") for n in range(3000)]
    objects += [pod(f"p{n}") for n in range(3000)]
    first = addresses(objects)
    assert len({ip for ips in first.values() for ip in ips}) == 12000
    assert addresses(objects[::-1]) == first
    taken = first["default/s0"][0]
    moved = addresses([*objects, service("thief", clusterIP=taken)])
    assert moved["default/thief"] == (taken,)
    assert moved["default/s0"][0] != taken
    # 10.96.0.1 and 10.96.0.10 stay free for those that ask for them.
    assert not any(ip.startswith("10.96.0.") for ips in first.values() for ip in ips)


def test_a_used_up_range_leaves_the_rest_without(monkeypatch: pytest.MonkeyPatch) -> None:
    from ipaddress import IPv4Network

    from kdns.records import allocation

    monkeypatch.setitem(allocation.SERVICE_RANGES, "IPv4", IPv4Network("10.96.0.0/23"))
    given = addresses([service(f"s{n}") for n in range(260)])
    assert sum(1 for ips in given.values() if ips) == 255


def names(state: cluster.State) -> set[str]:
    return {each.name for each in state.values() if isinstance(each, Namespace)}


def test_namespaces_exist_where_something_is() -> None:
    objects = declare(
        "{apiVersion: v1, kind: Namespace, metadata: {name: declared, labels: {a: b}}}"
    )
    objects += [service(namespace="implied"), pod("a", namespace="pods")]
    state = cluster.assemble(objects, Selection())
    assert names(state) == {"default", "kube-system", "declared", "implied", "pods"}
    for text, found in (
        ("a=b", {"declared"}),
        ("kubernetes.io/metadata.name=implied", {"implied"}),
    ):
        assert (
            names(cluster.assemble(objects, Selection(namespace_labels=selectors.parse(text))))
            == found
        )


def test_watches_what_is_selected() -> None:
    objects = [service(selector={"app": "web"}), pod("a")]
    kinds = {key[0] for key in cluster.assemble(objects, Selection(endpoints=False))}
    assert kinds == {Kind.SERVICE, Kind.NAMESPACE}
    kinds = {key[0] for key in cluster.assemble(objects, Selection(pods=True))}
    assert kinds == set(Kind) - {Kind.NODE, Kind.IMPORT}
    assert Selection(endpoints=False).kinds == (Kind.SERVICE, Kind.NAMESPACE)
    # The labels that are watched do not change whom a Service selects.
    found = cluster.assemble(
        [service(selector={"app": "web"}, labels={"x": "y"}), pod("a")],
        Selection(labels=selectors.parse("x=y"), pods=True),
    )
    assert [key[0] for key in found if key[0] is not Kind.NAMESPACE] == [Kind.SERVICE, Kind.SLICE]


def test_changes_are_only_what_differs() -> None:
    before = cluster.assemble([service("a"), service("b"), service("c")], Selection())
    after = cluster.assemble(
        [service("a"), service("b", ports=[{"port": 1}]), service("d", namespace="n")], Selection()
    )
    assert cluster.changes(before, before) == []
    assert cluster.changes(before, after) == [
        Gone(Kind.SERVICE, "default", "c"),
        Put(Namespace("n")),
        Put(after[Kind.SERVICE, "default", "b"]),
        Put(after[Kind.SERVICE, "n", "d"]),
    ]


REFUSED = {
    "kind": ({"apiVersion": "v1"}, "not a Kubernetes object: apiVersion and kind must be strings"),
    "version": (
        {"apiVersion": "discovery.k8s.io/v1beta1", "kind": "EndpointSlice"},
        "EndpointSlice: apiVersion: discovery.k8s.io/v1beta1 is not supported, use v1",
    ),
    "no metadata": (
        {"apiVersion": "v1", "kind": "Pod"},
        "Pod default/?: Object missing required field `metadata`",
    ),
    "no name": (
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": "x"}},
        "Namespace ?: metadata: Object missing required field `name`",
    ),
    "name": (
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "A"}},
        "Node A: metadata.name: not a valid name (RFC 1123): a-z, 0-9 and '-' are expected",
    ),
    "newline": (
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a\n"}},
        "Namespace 'a\\n': metadata.name: not a valid name (RFC 1123): a-z, 0-9 and '-' are expected",
    ),
    "hostname": (
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"hostname": 123}},
        "Pod default/a: spec.hostname: Expected `str`, got `int`: quote it",
    ),
    "label": (
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "labels": {"x": None}}},
        "Pod default/a: metadata.labels[...]: Expected `str`, got `null`",
    ),
    "protocol": (
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "a", "namespace": "n"},
            "spec": {"ports": [{"port": 1, "protocol": "tcp"}]},
        },
        "Service n/a: spec.ports[0].protocol: Invalid enum value 'tcp'",
    ),
    "address": (
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "a"},
            "spec": {"externalIPs": ["1.2.3"]},
        },
        "Service default/a: spec.externalIPs: '1.2.3' is not an IP address",
    ),
    "endpoint": (
        {
            "apiVersion": "v1",
            "kind": "Endpoints",
            "metadata": {"name": "a"},
            "subsets": [{"notReadyAddresses": [{"ip": "x"}]}],
        },
        "Endpoints default/a: subsets[0].notReadyAddresses[0].ip: 'x' is not an IP address",
    ),
    "slice": (
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": "a"},
            "endpoints": [{"hostname": 5}],
        },
        "EndpointSlice default/a: endpoints[0].hostname: Expected `str | null`, got `int`",
    ),
}


@pytest.mark.parametrize(("document", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_refuses_what_an_api_server_would(document: dict[str, object], message: str) -> None:
    with pytest.raises(declared.RefusedError) as caught:
        declared.read(document)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("version", "kind"),
    [("apps/v1", "Deployment"), ("v1", "ConfigMap"), ("serving.knative.dev/v1", "Service")],
)
def test_passes_over_other_kinds(version: str, kind: str) -> None:
    assert declared.read({"apiVersion": version, "kind": kind, "metadata": {"name": 5}}) is None


def test_null_is_absent_and_a_slice_needs_no_service() -> None:
    [found] = declare(
        "{apiVersion: v1, kind: Service, metadata: {name: a, labels: null},"
        " spec: {ports: null, selector: null}, status: null}"
    )
    assert found.trimmed == Service("default", "a", selects=False)
    [found] = declare(
        "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: a}, endpoints: null}"
    )
    assert found.trimmed == Slice("default", "a", "")
