"""Real Pods ask through the resolv.conf that kubelet wrote: musl's resolver, glibc's, and dig.

Of kdns from deploy/; of CoreDNS as kubeadm installs it; of kdns where only CoreDNS's image was changed; of
CoreDNS again. The same questions, and the same answers.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple

import pytest

from tests.cluster.processes import wait_until
from tests.node import places, servers
from tests.node.conftest import Say
from tests.node.node import Node

LOCAL: Final = "svc.cluster.local"
OUTSIDE: Final = "2001:db8::10 203.0.113.10"
STAGES: Final = ("kdns from deploy", "coredns", "kdns in its place", "coredns again")


class Question(NamedTuple):
    """A program run in a Pod, and a pattern of the whole that it prints, its lines sorted."""

    title: str
    command: str
    expected: str

    def __str__(self) -> str:
        return self.title


def resolved(title: str, name: str, addresses: str) -> Question:
    """By the C library; ``{db}`` in ``addresses`` are those of the StatefulSet's Pods."""
    return Question(title, f"resolve ahosts {name} | cut -d' ' -f1", addresses)


FROM_BOTH: Final = (
    Question(
        "resolv.conf",
        "cat /etc/resolv.conf",
        f"nameserver {places.DNS} options ndots:5 search default.{LOCAL} {LOCAL} cluster.local",
    ),
    resolved("short", "kubernetes", places.API),
    resolved("name.namespace", "kubernetes.default", places.API),
    resolved("name.namespace.svc", "web.other.svc", "10.96.1.2"),
    resolved("whole", f"kubernetes.default.{LOCAL}", places.API),
    resolved("whole, with a dot", f"kubernetes.default.{LOCAL}.", places.API),
    resolved("own namespace first", "web", "10.96.1.1"),
    resolved("other namespace", "web.other", "10.96.1.2"),
    resolved("both families", "dual", "10.96.1.3 fd00:10:96::103"),
    resolved("headless", "db", "{db}"),
    resolved("StatefulSet Pod", "db-0.db", "{db-0}"),
    resolved("StatefulSet Pod, whole", f"db-2.db.default.{LOCAL}", "{db-2}"),
    resolved("ExternalName", "outside", OUTSIDE),
    resolved("outside", "www.example.com", OUTSIDE),
    resolved("outside, CNAME", "alias.example.com", OUTSIDE),
    Question(
        "unknown",
        "resolve ahosts nosuch 2>&1; true",
        "nosuch: Name (does not resolve|or service not known)",
    ),
    Question("reverse", f"resolve hosts {places.API}", f"{places.API} kubernetes.default.{LOCAL}"),
    Question("reverse of a Pod", "resolve hosts {db-1}", f"{{db-1}} db-1.db.default.{LOCAL}"),
)


def dig(title: str, arguments: str, expected: str) -> Question:
    return Question(title, f"dig +short +time=2 +tries=2 {arguments}", expected)


def status(title: str, arguments: str, expected: str) -> Question:
    command = f"dig +noall +comments +time=2 +tries=2 {arguments} | grep -o 'status: [A-Z]*\\|ANSWER: [0-9]*'"
    return Question(title, command, expected)


FROM_DIG: Final = (
    dig("SRV", f"SRV _http._tcp.web.default.{LOCAL}", rf"0 100 80 web\.default\.{LOCAL}\."),
    dig(
        "SRV, headless",
        f"SRV _sql._tcp.db.default.{LOCAL}",
        " ".join(rf"0 33 5432 db-{number}\.db\.default\.{LOCAL}\." for number in range(3)),
    ),
    dig("PTR", "-x 10.96.1.2", rf"web\.other\.{LOCAL}\."),
    dig("PTR, IPv6", "-x fd00:10:96::103", rf"dual\.default\.{LOCAL}\."),
    dig("PTR, outside", "-x 203.0.113.10", r"www\.example\.com\."),
    dig("AAAA", f"AAAA dual.default.{LOCAL}", "fd00:10:96::103"),
    dig("CNAME", f"CNAME outside.default.{LOCAL}", r"www\.example\.com\."),
    dig("Pod's name", "{db-0-dashes}.default.pod.cluster.local", "{db-0}"),
    dig("version", "TXT dns-version.cluster.local", '"1.1.0"'),
    dig("TCP", f"+tcp web.default.{LOCAL}", "10.96.1.1"),
    dig("without EDNS", f"+noedns web.default.{LOCAL}", "10.96.1.1"),
    status("no address of this family", f"AAAA web.default.{LOCAL}", "ANSWER: 0 status: NOERROR"),
    status("no such Service", f"nosuch.default.{LOCAL}", "ANSWER: 0 status: NXDOMAIN"),
    status("no such name outside", "nosuch.example.com", "ANSWER: 0 status: NXDOMAIN"),
    Question(
        "HTTP by name",
        "curl -sm 3 http://web/index.html http://web.other/index.html",
        "default other",
    ),
    Question(
        "metrics",
        "curl -sm 3 http://kube-dns.kube-system:9153/metrics | grep -c ^coredns_dns_requests_total",
        "[1-9][0-9]*",
    ),
)

CASES: Final = [
    *(pytest.param("musl", question, id=f"musl-{question}") for question in FROM_BOTH),
    *(pytest.param("glibc", question, id=f"glibc-{question}") for question in FROM_BOTH),
    *(pytest.param("glibc", question, id=f"dig-{question}") for question in FROM_DIG),
]


class Server(NamedTuple):
    """What is deployed, and the StatefulSet's addresses, which the Pods had before."""

    node: Node
    stage: str
    known: dict[str, str]


@pytest.fixture(scope="module", params=STAGES)
def server(request: pytest.FixtureRequest, clients: Node, say: Say) -> Server:
    stage: str = request.param
    took = {
        "kdns from deploy": lambda: _afresh(clients, servers.deploy_kdns),
        "coredns": lambda: _afresh(clients, servers.deploy_coredns),
        "kdns in its place": lambda: servers.set_image(clients, places.KDNS),
        "coredns again": lambda: servers.undo(clients),
    }[stage]()
    servers.wait_answering(clients)
    say(f"{stage}: rolled out in {took:.1f} s")
    return Server(clients, stage, _addresses(clients))


def _afresh(node: Node, deploy: Callable[[Node], float]) -> float:
    servers.remove(node)
    return deploy(node)


def _addresses(node: Node) -> dict[str, str]:
    path = "jsonpath={.status.podIP}"
    single = {f"db-{n}": node.kubectl("get", "pod", f"db-{n}", "-o", path) for n in range(3)}
    return {
        **single,
        "db": " ".join(sorted(single.values())),
        "db-0-dashes": single["db-0"].replace(".", "-"),
    }


@pytest.mark.parametrize(("pod", "question"), CASES)
def test_answers(server: Server, pod: str, question: Question) -> None:
    command = _filled(question.command, server.known)
    _, printed = server.node.in_pod(pod, "sh", "-c", command)
    got = " ".join(sorted(printed.split("\n"))).strip()
    expected = _filled(question.expected, server.known)
    assert re.fullmatch(expected, got), f"{command}\n{printed}\nexpected {expected}"


def _filled(text: str, known: dict[str, str]) -> str:
    return re.sub(r"\{([a-z0-9-]+)\}", lambda found: known[found[1]], text)


def test_changes_are_seen(server: Server) -> None:
    node, name = server.node, f"late.default.{LOCAL}"

    def short() -> str:
        return node.in_pod("glibc", "dig", "+short", "+time=2", name)[1].strip()

    assert short() == ""
    node.kubectl("create", "service", "clusterip", "late", "--tcp=80", "--clusterip=10.96.1.77")
    wait_until(lambda: short() == "10.96.1.77", 5, "a new Service")
    node.kubectl("delete", "service", "late")
    wait_until(lambda: short() == "", 5, "a Service that is gone")


def test_a_pod_that_comes_back_has_its_new_address(server: Server) -> None:
    node = server.node
    node.kubectl("delete", "pod", "db-1")
    node.kubectl("rollout", "status", "statefulset/db", "--timeout=60s")
    address = _addresses(node)["db-1"]
    assert address != server.known["db-1"]
    server.known.update(_addresses(node))

    def seen() -> bool:
        return address in node.in_pod("musl", "resolve", "ahosts", "db-1.db")[1]

    wait_until(seen, 5, "the new address")


def test_nothing_was_restarted(server: Server) -> None:
    path = "jsonpath={.items[*].status.containerStatuses[0].restartCount}"
    counts = server.node.kubectl(
        *servers.SYSTEM, "get", "pods", "-l", "k8s-app=kube-dns", "-o", path
    )
    assert set(counts.split()) == {"0"}
