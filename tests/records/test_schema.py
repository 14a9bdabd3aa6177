"""API JSON to trimmed values: what is valid counts, what is not is named, nothing raises."""

from __future__ import annotations

import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdns.records import schema
from kdns.records.objects import Endpoint, Kind, Namespace, Node, Object, Pod, Port, Service, Slice
from kdns.records.trimming import canonical_address

Json = dict[str, object]
META: Json = {"name": "web", "namespace": "shop", "resourceVersion": "7"}
NODE_ADDRESSES = (
    {"type": "InternalIP", "address": "192.0.2.1"},
    {"type": "Hostname", "address": "shop"},
)
NODE: Json = {
    "addresses": [*NODE_ADDRESSES],
    "conditions": [
        {"type": "MemoryPressure", "status": "False"},
        {"type": "Ready", "status": "True"},
    ],
}


def service(**spec: object) -> Json:
    return {"metadata": META, "spec": spec}


def endpoint_slice(*endpoints: object, **fields: object) -> Json:
    metadata = {**META, "labels": {"kubernetes.io/service-name": "web"}}
    return {"metadata": metadata, "addressType": "IPv4", "endpoints": list(endpoints), **fields}


def page(*items: object, **metadata: object) -> bytes:
    return json.dumps({"metadata": {"resourceVersion": "9", **metadata}, "items": items}).encode()


def event(type_: str, item: object) -> bytes:
    return json.dumps({"type": type_, "object": item}).encode()


WHOLE: list[tuple[str, Kind, Json, Object | None]] = [
    (
        "cluster IPs of both families",
        Kind.SERVICE,
        service(
            clusterIP="10.96.0.1",
            clusterIPs=["10.96.0.1", "FD00:0:0::0A"],
            ports=[{"name": "http", "port": 80}, {"name": "dns", "protocol": "UDP", "port": 53}],
            selector={"app": "web"},
        ),
        Service(
            "shop",
            "web",
            cluster_ips=("10.96.0.1", "fd00::a"),
            ports=(Port("http", "tcp", 80), Port("dns", "udp", 53)),
        ),
    ),
    (
        "clusterIP without clusterIPs",
        Kind.SERVICE,
        service(clusterIP="10.96.0.1"),
        Service("shop", "web", cluster_ips=("10.96.0.1",), selects=False),
    ),
    (
        "headless",
        Kind.SERVICE,
        service(clusterIP="None", clusterIPs=["None"], selector={"app": "web"}),
        Service("shop", "web", headless=True),
    ),
    (
        "headless by the old field alone",
        Kind.SERVICE,
        service(clusterIP="None", selector={"app": "web"}),
        Service("shop", "web", headless=True),
    ),
    (
        "ExternalName keeps its target as written and has no addresses",
        Kind.SERVICE,
        service(type="ExternalName", externalName="Example.COM.", clusterIP="None"),
        Service("shop", "web", external_name="Example.COM.", selects=False),
    ),
    (
        "externalName counts only with its type",
        Kind.SERVICE,
        service(type="ClusterIP", externalName="left.over", clusterIP="10.0.0.1"),
        Service("shop", "web", cluster_ips=("10.0.0.1",), selects=False),
    ),
    (
        "load balancer",
        Kind.SERVICE,
        {
            **service(clusterIP="10.0.0.1", externalIPs=["192.0.2.9"]),
            "status": {
                "loadBalancer": {"ingress": [{"ip": "192.0.2.1"}, {"hostname": "elb.test"}]}
            },
        },
        Service(
            "shop",
            "web",
            cluster_ips=("10.0.0.1",),
            external_ips=("192.0.2.9",),
            ingress=("192.0.2.1", "elb.test"),
            selects=False,
        ),
    ),
    (
        "slice: readiness, hostname, pod, zone",
        Kind.SLICE,
        endpoint_slice(
            {"addresses": ["10.1.0.1"], "conditions": {"ready": True}, "hostname": "db-0"},
            {"addresses": ["10.1.0.2"], "conditions": {"ready": False}, "zone": "EU-a"},
            {"addresses": ["10.1.0.3"], "conditions": {"ready": False, "terminating": True}},
            {"addresses": ["10.1.0.4"], "conditions": {"ready": True, "terminating": True}},
            {"addresses": ["10.1.0.3"], "targetRef": {"kind": "Pod", "name": "db-2"}},
            {"addresses": ["10.1.0.4"], "conditions": {}, "targetRef": {"name": "x" * 64}},
            ports=[{"name": "", "port": 5432, "protocol": "TCP"}],
        ),
        Slice(
            "shop",
            "web",
            "web",
            endpoints=(
                Endpoint(("10.1.0.1",), hostname="db-0"),
                Endpoint(("10.1.0.2",), ready=False, zone="eu-a"),
                Endpoint(("10.1.0.3",), ready=False, terminating=True),
                Endpoint(("10.1.0.4",)),
                Endpoint(("10.1.0.3",), pod="db-2"),
                Endpoint(("10.1.0.4",)),
            ),
            ports=(Port("", "tcp", 5432),),
        ),
    ),
    (
        "slice of nothing, as Go writes it",
        Kind.SLICE,
        endpoint_slice(endpoints=None, ports=None),
        Slice("shop", "web", "web"),
    ),
    (
        "slice with its trigger time",
        Kind.SLICE,
        {
            "metadata": {
                **META,
                "labels": {"kubernetes.io/service-name": "web"},
                "annotations": {
                    "endpoints.kubernetes.io/last-change-trigger-time": "2024-01-01T00:00:00Z"
                },
            },
        },
        Slice("shop", "web", "web", triggered=1704067200.0),
    ),
    (
        "pod with both families",
        Kind.POD,
        {
            "metadata": META,
            "spec": {"hostNetwork": True},
            "status": {
                "phase": "Running",
                "podIP": "10.1.0.1",
                "podIPs": [{"ip": "10.1.0.1"}, {"ip": "FD00::1"}],
            },
        },
        Pod("shop", "web", ("10.1.0.1", "fd00::1"), host_network=True),
    ),
    (
        "pod with the old field alone",
        Kind.POD,
        {"metadata": META, "status": {"podIP": "10.1.0.1"}},
        Pod("shop", "web", ("10.1.0.1",)),
    ),
    (
        "terminating pod stays until it is deleted",
        Kind.POD,
        {
            "metadata": {**META, "deletionTimestamp": "2024-01-01T00:00:00Z"},
            "status": {"podIP": "10.1.0.1", "phase": "Running"},
        },
        Pod("shop", "web", ("10.1.0.1",)),
    ),
    ("namespace", Kind.NAMESPACE, {"metadata": {"name": "shop"}}, Namespace("shop")),
    (
        "node",
        Kind.NODE,
        {"metadata": {"name": "shop"}, "status": NODE},
        Node("shop", ("192.0.2.1",)),
    ),
    (
        "node with an external address",
        Kind.NODE,
        {
            "metadata": {"name": "shop"},
            "status": {"addresses": [*NODE_ADDRESSES, {"type": "ExternalIP", "address": "::1"}]},
        },
        Node("shop", ("::1",)),
    ),
    (
        "node that is not ready",
        Kind.NODE,
        {
            "metadata": {"name": "shop"},
            "status": {**NODE, "conditions": [{"type": "Ready", "status": "Unknown"}]},
        },
        Node("shop"),
    ),
    ("node without status", Kind.NODE, {"metadata": {"name": "shop"}}, Node("shop")),
    (
        "node port",
        Kind.SERVICE,
        {
            "metadata": META,
            "spec": {"clusterIP": "10.0.0.1", "ports": [{"port": 80, "nodePort": 30080}]},
        },
        Service(
            "shop",
            "web",
            cluster_ips=("10.0.0.1",),
            ports=(Port("", "tcp", 80, 30080),),
            selects=False,
        ),
    ),
    *(
        (
            f"pod in phase {phase} is gone",
            Kind.POD,
            {"metadata": META, "status": {"phase": phase}},
            None,
        )
        for phase in ("Succeeded", "Failed", "Unknown")
    ),
]


@pytest.mark.parametrize(
    ("kind", "item", "expected"), [row[1:] for row in WHOLE], ids=[row[0] for row in WHOLE]
)
def test_valid_object_is_trimmed_the_same_from_page_event_and_mapping(
    kind: Kind, item: Json, expected: Object | None
) -> None:
    listed = schema.decode_list(kind, page(item))
    assert listed.objects == ((expected,) if expected else ())
    assert (listed.rejected, listed.error) == ((), "")
    seen = schema.decode_event(kind, event("ADDED", item))
    assert (seen.object, seen.rejected) == (expected, ())
    scoped = kind not in {Kind.NAMESPACE, Kind.NODE}
    assert (seen.namespace, seen.name) == (("shop", "web") if scoped else ("", "shop"))
    assert schema.from_mapping(kind, json.loads(json.dumps(item))) == schema.Decoded(expected)


STRANGE: list[tuple[str, Kind, object, Object | None, str]] = [
    (
        "port out of range",
        Kind.SERVICE,
        service(clusterIP="10.0.0.1", ports=[{"port": 70000}, {"port": 80}, {"port": -1}, {}]),
        Service(
            "shop", "web", cluster_ips=("10.0.0.1",), ports=(Port("", "tcp", 80),), selects=False
        ),
        "ports[0].port: 70000 is not within 1-65535",
    ),
    (
        "port name is a number",
        Kind.SERVICE,
        service(clusterIP="10.0.0.1", ports=[{"name": 80, "port": 80}]),
        Service(
            "shop", "web", cluster_ips=("10.0.0.1",), ports=(Port("", "tcp", 80),), selects=False
        ),
        "spec.ports[0].name: Expected `str | null`, got `int`",
    ),
    (
        "port is text",
        Kind.SERVICE,
        service(
            clusterIP="10.0.0.1", ports=[{"name": "a", "port": "80"}, {"name": "b", "port": 81}]
        ),
        Service(
            "shop", "web", cluster_ips=("10.0.0.1",), ports=(Port("b", "tcp", 81),), selects=False
        ),
        "spec.ports[0].port: Expected `int | null`, got `str`",
    ),
    (
        "ports is not a list",
        Kind.SERVICE,
        service(clusterIP="10.0.0.1", ports="http"),
        Service("shop", "web", cluster_ips=("10.0.0.1",), selects=False),
        "spec.ports: Expected `array | null`, got `str`",
    ),
    (
        "cluster IPs that are none",
        Kind.SERVICE,
        service(clusterIPs=["10.0.0.256", "fe80::1%eth0", "10.0.0.1", 7]),
        Service("shop", "web", cluster_ips=("10.0.0.1",), selects=False),
        "spec.clusterIPs: '10.0.0.256' is not an IP address",
    ),
    (
        "no spec",
        Kind.SERVICE,
        {"metadata": META, "spec": [1]},
        Service("shop", "web", selects=False),
        "spec: Expected `object | null`, got `array`",
    ),
    (
        "ExternalName without a target",
        Kind.SERVICE,
        service(type="ExternalName"),
        Service("shop", "web", selects=False),
        "spec.externalName: missing",
    ),
    ("no name", Kind.SERVICE, {"metadata": {"namespace": "x"}}, None, "no name, or no namespace"),
    ("no namespace", Kind.SLICE, {"metadata": {"name": "x"}}, None, "no name, or no namespace"),
    ("no metadata", Kind.NAMESPACE, {}, None, "no name, or no namespace"),
    (
        "name is a number",
        Kind.NAMESPACE,
        {"metadata": {"name": 5}},
        None,
        "metadata.name: Expected",
    ),
    ("not an object", Kind.POD, [], None, "object: Expected `object`, got `array`"),
    ("null", Kind.POD, None, None, "object: Expected `object`, got `null`"),
    (
        "FQDN slice",
        Kind.SLICE,
        endpoint_slice({"addresses": ["host.test"]}, addressType="FQDN"),
        Slice("shop", "web", "web"),
        "addressType FQDN",
    ),
    (
        "slice without the service label",
        Kind.SLICE,
        {"metadata": META, "endpoints": [{"addresses": ["10.0.0.1"]}]},
        Slice("shop", "web", "", endpoints=(Endpoint(("10.0.0.1",)),)),
        "no label kubernetes.io/service-name",
    ),
    (
        "endpoints that are none",
        Kind.SLICE,
        endpoint_slice(
            7, None, {"addresses": None}, {"addresses": ["x"]}, {"addresses": ["10.0.0.1"]}
        ),
        Slice("shop", "web", "web", endpoints=(Endpoint(("10.0.0.1",)),)),
        "endpoints[0]: Expected `object`, got `int`",
    ),
    (
        "ready is text",
        Kind.SLICE,
        endpoint_slice({"addresses": ["10.0.0.1"], "conditions": {"ready": "no"}}),
        Slice("shop", "web", "web", endpoints=(Endpoint(("10.0.0.1",)),)),
        "endpoints[0].conditions.ready: Expected `bool | null`, got `str`",
    ),
    (
        "pod addresses that are none",
        Kind.POD,
        {"metadata": META, "status": {"podIPs": [{"ip": ""}, {"ip": "x"}, {}, {"ip": 1}]}},
        Pod("shop", "web"),
        "status.podIPs: 'x' is not an IP address",
    ),
]


@pytest.mark.parametrize(
    ("kind", "item", "expected", "reason"),
    [row[1:] for row in STRANGE],
    ids=[row[0] for row in STRANGE],
)
def test_strange_object_contributes_what_is_valid_and_says_why(
    kind: Kind, item: object, expected: Object | None, reason: str
) -> None:
    other = {"metadata": {"name": "other", "namespace": "other"}}
    listed = schema.decode_list(kind, page(other, item, other))
    assert len(listed.objects) == (3 if expected else 2), "one strange object costs no other"
    assert listed.objects[1:-1] == ((expected,) if expected else ())
    assert any(reason in each for each in listed.rejected)
    seen = schema.decode_event(kind, event("MODIFIED", item))
    assert seen.object == expected
    assert any(reason in each for each in seen.rejected)
    assert schema.from_mapping(kind, item).object == expected  # type: ignore[arg-type]


def test_reason_names_the_object() -> None:
    rejected = schema.decode_list(Kind.SERVICE, page(service(ports=[{"port": 0}]))).rejected
    assert rejected == ("services shop/web: ports[0].port: 0 is not within 1-65535",)


def test_page_metadata() -> None:
    listed = schema.decode_list(Kind.POD, page(**{"continue": "abc"}))
    assert (listed.resource_version, listed.continue_token) == ("9", "abc")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"items":[]}',
        b'{"items":5,"metadata":{}}',
        b"\xff",
        b"[" * 99999,
        b'{"metadata":{"resourceVersion":"1"}}',
        b'{"kind":"Status","code":500}',
    ],
    ids=lambda body: repr(body[:30]),
)
def test_what_is_no_page_is_an_error_and_not_an_empty_list(body: bytes) -> None:
    listed = schema.decode_list(Kind.SERVICE, body)
    assert listed.error.startswith("not a list of services: ")


def test_null_items_is_an_empty_list() -> None:
    listed = schema.decode_list(Kind.SERVICE, b'{"items":null,"metadata":{"resourceVersion":"1"}}')
    assert listed == schema.ObjectList(resource_version="1")


def test_bookmark_carries_only_its_version() -> None:
    line = event("BOOKMARK", {"kind": "Pod", "metadata": {"resourceVersion": "12"}})
    assert schema.decode_event(Kind.POD, line) == schema.Event("BOOKMARK", resource_version="12")


END_MARK = "k8s.io/initial-events-end"


@pytest.mark.parametrize(
    ("annotations", "ends_list"),
    [
        ({END_MARK: "true", "other": 7}, True),
        ({END_MARK: "false"}, False),
        ({END_MARK: True}, False),
        ({}, False),
        (None, False),
        ([], False),
    ],
)
def test_a_bookmark_may_end_a_list(annotations: object, ends_list: bool) -> None:
    metadata = {"resourceVersion": "12", "annotations": annotations}
    found = schema.decode_event(Kind.POD, event("BOOKMARK", {"metadata": metadata}))
    assert found == schema.Event("BOOKMARK", resource_version="12", ends_list=ends_list)


def test_an_object_ends_no_list() -> None:
    item = {"metadata": {"name": "a", "namespace": "b", "annotations": {END_MARK: "true"}}}
    assert not schema.decode_event(Kind.POD, event("ADDED", item)).ends_list


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        ({"code": 410, "reason": "Expired", "message": "too old"}, 410, "too old"),
        ({"code": 500, "reason": "InternalError"}, 500, "InternalError"),
        ({"code": "410"}, 0, "no message"),
        (None, 0, "no message"),
    ],
    ids=["gone", "no message", "code is text", "null"],
)
def test_error_event(status: object, code: int, message: str) -> None:
    seen = schema.decode_event(Kind.POD, event("ERROR", status))
    assert seen == schema.Event("ERROR", status_code=code, message=message)


@pytest.mark.parametrize(
    "line",
    [b"", b"{", b"[]", b'{"type":"ADDED"}', b'{"type":1,"object":{}}', b"\xff\xfe"],
    ids=repr,
)
def test_line_that_is_no_event(line: bytes) -> None:
    seen = schema.decode_event(Kind.POD, line)
    assert seen.type == ""
    assert seen.message.startswith("not a watch event: ")


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("0.0.0.0", "0.0.0.0"),
        ("255.255.255.255", "255.255.255.255"),
        ("FD00:0:0:0:0:0:0:1", "fd00::1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("010.0.0.1", None),
        ("10.0.0", None),
        ("10.0.0.1 ", None),
        ("10.0.0.1\n", None),
        ("\u0661\u0660.0.0.1", None),
        ("fe80::1%eth0", None),
        ("10.0.0.0/8", None),
        ("", None),
    ],
)
def test_canonical_address(text: str, canonical: str | None) -> None:
    assert canonical_address(text) == canonical


def test_equal_parts_are_shared() -> None:
    ports = [{"name": "web-port", "port": 8080}]
    slices = [endpoint_slice({"addresses": [f"10.0.0.{n}"]}, ports=ports) for n in (1, 2)]
    one, two = schema.decode_list(Kind.SLICE, page(*slices)).objects
    assert isinstance(one, Slice)
    assert isinstance(two, Slice)
    assert one.ports is two.ports
    assert one.namespace is two.namespace
    assert one.service is sys.intern("web")


KEYS = ["metadata", "spec", "status", "name", "namespace", "labels", "annotations", "items", "type"]
KEYS += ["clusterIPs", "ports", "port", "endpoints", "addresses", "conditions", "podIPs", "object"]
KEYS += ["loadBalancer", "ingress", "ip", "resourceVersion", "kubernetes.io/service-name"]
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(KEYS) | st.text(), inner),
    max_leaves=25,
)
objects = st.dictionaries(st.sampled_from(["spec", "status", "endpoints", "ports"]), anything).map(
    lambda rest: {"metadata": META, **rest}
)
kinds = st.sampled_from(Kind)


@given(kinds, anything)
def test_any_json_gives_values_or_reasons(kind: Kind, value: object) -> None:
    body = json.dumps(value).encode()
    assert schema.decode_list(kind, body) is not None
    assert schema.decode_event(kind, body) is not None
    assert schema.decode_event(kind, event("ADDED", value)) is not None
    if isinstance(value, dict):
        assert schema.from_mapping(kind, value) is not None


@given(kinds, objects)
def test_an_object_with_a_name_is_kept_whatever_else_is_broken(kind: Kind, value: Json) -> None:
    made = schema.from_mapping(kind, value)
    status = value.get("status")
    ended = isinstance(status, dict) and "phase" in status
    assert ended or made.object is not None
    assert schema.decode_list(kind, page(value)).objects == ((made.object,) if made.object else ())


@given(kinds, st.binary())
def test_any_bytes_are_answered(kind: Kind, body: bytes) -> None:
    assert schema.decode_list(kind, body).error
    assert not schema.decode_event(kind, body).type
    assert isinstance(schema.status_message(body), str)


@given(kinds, st.binary(max_size=40), st.integers(0, 400))
def test_damaged_page_is_answered(kind: Kind, noise: bytes, at: int) -> None:
    good = page(service(clusterIP="10.0.0.1"), endpoint_slice({"addresses": ["10.0.0.1"]}))
    listed = schema.decode_list(kind, good[:at] + noise + good[at + len(noise) :])
    assert listed.error or listed.resource_version
