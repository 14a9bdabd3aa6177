"""What controllers make of Services, Pods and Endpoints: read by the table test and by the real ones.

Each case is a manifest and one line per endpoint: service, address, readiness, hostname, pod, zone
("-" for none), ports. ``tests/cluster/test_mirror.py`` puts the same manifests to a real
kube-controller-manager and expects the same lines.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from kdns.records.objects import Slice


class Case(NamedTuple):
    manifest: str
    expected: str


def lines(slices: Iterable[Slice]) -> list[str]:
    """One line per endpoint, sorted."""
    return sorted(
        " ".join(
            (
                *(each.service, ",".join(endpoint.addresses)),
                "ready" if endpoint.ready else "unready",
                *(endpoint.hostname or "-", endpoint.pod or "-", endpoint.zone or "-"),
                ",".join(sorted(f"{p.name}/{p.protocol}/{p.number}" for p in each.ports)) or "-",
            )
        )
        for each in slices
        for endpoint in each.endpoints
    )


def _service(spec: str, name: str = "web", labels: str = "") -> str:
    metadata = f"{{name: {name}, labels: {{{labels}}}}}"
    return f"---\n{{apiVersion: v1, kind: Service, metadata: {metadata}, spec: {{{spec}}}}}\n"


def _pod(name: str, status: str, spec: str = "", more: str = "labels: {app: web}") -> str:
    return (
        f"---\n{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, {more}}},"
        f" spec: {{{spec}}}, status: {{{status}}}}}\n"
    )


def _endpoints(subsets: str, more: str = "") -> str:
    metadata = f"{{name: web{more}}}"
    return f"---\n{{apiVersion: v1, kind: Endpoints, metadata: {metadata}, subsets: [{subsets}]}}\n"


_READY: Final = 'conditions: [{type: Ready, status: "True"}]'
_UNREADY: Final = 'conditions: [{type: Ready, status: "False"}]'
_HEADLESS: Final = "clusterIP: None, selector: {app: web}"
_PORT: Final = "ports: [{name: http, port: 80}]"
_CONTAINERS: Final = (
    "containers: [{name: a, image: none, ports: [{name: http, containerPort: 8080}]},"
    " {name: b, image: none, ports: [{name: dns, containerPort: 5353, protocol: UDP}]}]"
)


def _up(address: str) -> str:
    return f"phase: Running, podIP: {address}, podIPs: [{{ip: {address}}}], {_READY}"


CASES: Final = {
    "headless, ready and not ready": Case(
        _service(f"{_HEADLESS}, {_PORT}")
        + _pod("web-0", _up("10.1.0.1"))
        + _pod("web-1", f"phase: Running, podIP: 10.1.0.2, podIPs: [{{ip: 10.1.0.2}}], {_UNREADY}")
        + _pod("web-2", "phase: Running, podIP: 10.1.0.3, podIPs: [{ip: 10.1.0.3}]")
        + _pod("other", _up("10.1.0.4"), more="labels: {app: other}")
        + _pod("bare", _up("10.1.0.5"), more="annotations: {}"),
        """
        web 10.1.0.1 ready - web-0 - http/tcp/80
        web 10.1.0.2 unready - web-1 - http/tcp/80
        web 10.1.0.3 unready - web-2 - http/tcp/80
        """,
    ),
    "publishNotReadyAddresses": Case(
        _service(f"{_HEADLESS}, publishNotReadyAddresses: true")
        + _pod("web-0", f"phase: Running, podIP: 10.1.0.2, podIPs: [{{ip: 10.1.0.2}}], {_UNREADY}"),
        "web 10.1.0.2 ready - web-0 - -",
    ),
    "all labels of the selector must match": Case(
        _service("clusterIP: None, selector: {app: web, tier: front}")
        + _pod("web-0", _up("10.1.0.1"), more="labels: {app: web, tier: front, more: x}")
        + _pod("web-1", _up("10.1.0.2"), more="labels: {app: web, tier: back}")
        + _pod("web-2", _up("10.1.0.3"), more="labels: {tier: front}"),
        "web 10.1.0.1 ready - web-0 - -",
    ),
    "hostname needs the subdomain": Case(
        _service(_HEADLESS)
        + _pod("web-0", _up("10.1.0.1"), "hostname: zero, subdomain: web")
        + _pod("web-1", _up("10.1.0.2"), "hostname: one, subdomain: other")
        + _pod("web-2", _up("10.1.0.3"), "hostname: two")
        + _pod("web-3", _up("10.1.0.4"), "subdomain: web"),
        """
        web 10.1.0.1 ready zero web-0 - -
        web 10.1.0.2 ready - web-1 - -
        web 10.1.0.3 ready - web-2 - -
        web 10.1.0.4 ready - web-3 - -
        """,
    ),
    "phases and addresses": Case(
        _service(_HEADLESS)
        + _pod("done", f"phase: Succeeded, podIP: 10.1.0.1, podIPs: [{{ip: 10.1.0.1}}], {_READY}")
        + _pod("failed", f"phase: Failed, podIP: 10.1.0.2, podIPs: [{{ip: 10.1.0.2}}], {_READY}")
        + _pod("pending", f"phase: Pending, podIP: 10.1.0.3, podIPs: [{{ip: 10.1.0.3}}], {_READY}")
        + _pod("nowhere", f"phase: Running, {_READY}"),
        "web 10.1.0.3 ready - pending - -",
    ),
    "terminating": Case(
        _service(_HEADLESS)
        + _service(f"{_HEADLESS}, publishNotReadyAddresses: true", name="all")
        + _pod(
            "web-0",
            _up("10.1.0.1"),
            more='labels: {app: web}, deletionTimestamp: "2024-01-01T00:00:00Z"',
        ),
        """
        web 10.1.0.1 unready - web-0 - -
        all 10.1.0.1 ready - web-0 - -
        """,
    ),
    "cluster IP, target ports by number and by name": Case(
        _service(
            "selector: {app: web}, ports: ["
            "{name: a, port: 80, targetPort: 8000}, {name: b, port: 81, targetPort: http},"
            "{name: c, port: 82}, {name: d, port: 53, protocol: UDP, targetPort: dns},"
            "{name: e, port: 54, targetPort: dns}, {name: f, port: 55, targetPort: nothing}]"
        )
        + _pod("web-0", _up("10.1.0.1"), _CONTAINERS),
        "web 10.1.0.1 ready - web-0 - a/tcp/8000,b/tcp/8080,c/tcp/82,d/udp/5353",
    ),
    "pods that differ in a named port": Case(
        _service("clusterIP: None, selector: {app: web}, ports: [{port: 81, targetPort: http}]")
        + _pod("web-0", _up("10.1.0.1"), _CONTAINERS)
        + _pod("web-1", _up("10.1.0.2"), _CONTAINERS.replace("8080", "9090"))
        + _pod("web-2", _up("10.1.0.3")),
        """
        web 10.1.0.1 ready - web-0 - /tcp/8080
        web 10.1.0.2 ready - web-1 - /tcp/9090
        web 10.1.0.3 ready - web-2 - -
        """,
    ),
    "sidecars count, other init containers do not": Case(
        _service(
            "clusterIP: None, selector: {app: web},"
            " ports: [{name: a, port: 81, targetPort: side}, {name: b, port: 82, targetPort: init}]"
        )
        + _pod(
            "web-0",
            _up("10.1.0.1"),
            "initContainers: [{name: s, image: none, restartPolicy: Always,"
            " ports: [{name: side, containerPort: 1}]},"
            " {name: i, image: none, ports: [{name: init, containerPort: 2}]}]",
        ),
        "web 10.1.0.1 ready - web-0 - a/tcp/1",
    ),
    "dual stack": Case(
        _service(f"{_HEADLESS}, ipFamilyPolicy: RequireDualStack", name="both")
        + _service(f"{_HEADLESS}", name="four")
        + _service(f"{_HEADLESS}, ipFamilies: [IPv6]", name="six")
        + _service(f"{_HEADLESS}, ipFamilies: [IPv6], ipFamilyPolicy: PreferDualStack", name="any")
        + _service(f"selector: {{app: web}}, clusterIP: 'fd00:10:96::77', {_PORT}", name="given")
        + _pod(
            "web-0",
            f"phase: Running, podIP: 10.1.0.1, podIPs: [{{ip: 10.1.0.1}}, {{ip: 'fd01::1'}}], {_READY}",
        ),
        """
        both 10.1.0.1 ready - web-0 - -
        both fd01::1 ready - web-0 - -
        four 10.1.0.1 ready - web-0 - -
        six fd01::1 ready - web-0 - -
        any 10.1.0.1 ready - web-0 - -
        any fd01::1 ready - web-0 - -
        given fd01::1 ready - web-0 - http/tcp/80
        """,
    ),
    "zone of the node": Case(
        "---\n{apiVersion: v1, kind: Node, metadata: {name: zoned, labels:"
        " {topology.kubernetes.io/zone: eu-1a}}}\n"
        + _service(_HEADLESS)
        + _pod("web-0", _up("10.1.0.1"), "nodeName: zoned"),
        "web 10.1.0.1 ready - web-0 eu-1a -",
    ),
    "ExternalName has no endpoints": Case(
        _service("type: ExternalName, externalName: example.org, selector: {app: web}")
        + _service(_HEADLESS, name="probe")
        + _pod("web-0", _up("10.1.0.1")),
        "probe 10.1.0.1 ready - web-0 - -",
    ),
    "Endpoints are mirrored": Case(
        _service(_PORT)
        + _endpoints(
            "{addresses: [{ip: 192.168.1.1, hostname: one}, {ip: 192.168.1.2, targetRef:"
            " {kind: Pod, name: two}}, {ip: 'fd00::1'}], notReadyAddresses: [{ip: 192.168.1.3}],"
            " ports: [{name: http, port: 8080}]}"
        ),
        """
        web 192.168.1.1 ready one - - http/tcp/8080
        web 192.168.1.2 ready - two - http/tcp/8080
        web fd00::1 ready - - - http/tcp/8080
        web 192.168.1.3 unready - - - http/tcp/8080
        """,
    ),
    "Endpoints of several subsets": Case(
        _service("clusterIP: None")
        + _endpoints(
            "{addresses: [{ip: 192.168.1.1}, {ip: 192.168.1.2}], ports: [{name: a, port: 1}]},"
            " {addresses: [{ip: 192.168.1.2}, {ip: 192.168.1.1}], ports: [{name: b, port: 2}]},"
            " {addresses: [{ip: 192.168.1.1}], notReadyAddresses: [{ip: 192.168.1.2}],"
            " ports: [{name: c, port: 3, protocol: UDP}]},"
            " {addresses: [{ip: 192.168.1.9}]}"
        ),
        """
        web 192.168.1.1 ready - - - a/tcp/1,b/tcp/2
        web 192.168.1.2 ready - - - a/tcp/1,b/tcp/2
        web 192.168.1.1 ready - - - c/udp/3
        web 192.168.1.2 unready - - - c/udp/3
        web 192.168.1.9 ready - - - -
        """,
    ),
    "not ready trumps ready": Case(
        _service("clusterIP: None")
        + _endpoints(
            "{addresses: [{ip: 192.168.1.1}], ports: [{port: 1}]},"
            " {notReadyAddresses: [{ip: 192.168.1.1}], ports: [{port: 1}]}"
        ),
        "web 192.168.1.1 unready - - - /tcp/1",
    ),
    "Endpoints beside a slice by hand": Case(
        _service("clusterIP: None")
        + _endpoints("{addresses: [{ip: 192.168.1.1}]}")
        + "---\n{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4, metadata:"
        " {name: web-by-hand, labels: {kubernetes.io/service-name: web}},"
        " endpoints: [{addresses: [192.168.1.7]}], ports: [{name: x, port: 7, protocol: TCP}]}\n",
        """
        web 192.168.1.1 ready - - - -
        web 192.168.1.7 ready - - - x/tcp/7
        """,
    ),
    "Endpoints that are not mirrored": Case(
        _service(_HEADLESS)
        + _endpoints("{addresses: [{ip: 192.168.1.1}]}")
        + _service("clusterIP: None", name="skipped")
        + _endpoints(
            "{addresses: [{ip: 192.168.1.2}]}",
            more=", labels: {endpointslice.kubernetes.io/skip-mirror: 'true'}",
        ).replace("name: web", "name: skipped")
        + _service("clusterIP: None", name="leader")
        + _endpoints(
            "{addresses: [{ip: 192.168.1.3}]}",
            more=", annotations: {control-plane.alpha.kubernetes.io/leader: '{}'}",
        ).replace("name: web", "name: leader")
        + _endpoints("{addresses: [{ip: 192.168.1.4}]}").replace("name: web", "name: orphan")
        + _pod("web-0", _up("10.1.0.1")),
        "web 10.1.0.1 ready - web-0 - -",
    ),
}
