# ruff: noqa: E501 (tables: one case, one line)
"""``kdns explain``: from files and from a server, and what it says to do next."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from kdns.cli import main
from kdns.cli.advice import advice, not_ready
from kdns.records import explain
from kdns.records.outcome import Reason
from tests.fakes.nameserver import NameServer

ROOT = Path(__file__).parents[2]
CLUSTER = ("--manifests", str(ROOT / "examples/cluster"), "--zones", str(ROOT / "zones"))


def test_a_missing_service(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["explain", "redis-master.default.svc.cluster.local", *CLUSTER]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("redis-master.default.svc.cluster.local. NXDOMAIN by kubernetes")
    assert lines[1] == "  no Service redis-master in namespace default; there is one in my-ns"
    assert "Service     default/redis-master   not there" in lines
    assert lines[-3:] == [
        "next:",
        "  kubectl get service -n my-ns redis-master",
        "  ask for redis-master.my-ns",
    ]


def test_endpoints_in_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["explain", "db.default.svc.cluster.local", "SRV", *CLUSTER]) == 0
    out = capsys.readouterr().out
    assert (
        "db.default.svc.cluster.local. 5 IN SRV 0 50 5432 db-0.db.default.svc.cluster.local." in out
    )
    table = out[out.index("KIND ") :].splitlines()
    assert [line.split()[0] for line in table[:4]] == [
        "KIND",
        "Namespace",
        "Service",
        "EndpointSlice",
    ]
    assert table[-1].strip() == "10.244.1.11 not ready (Pod db-2) hostname db-2"
    assert len({line.index("10.244.") for line in table[3:]}) == 1


def test_a_short_name_and_a_file_zone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["explain", "redis-master.my-ns", "-n", "default", *CLUSTER]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("redis-master.my-ns.svc.cluster.local. NOERROR")
    assert any(
        line.startswith(
            "also tried: redis-master.my-ns.default.svc.cluster.local. no Service my-ns"
        )
        for line in lines
    )
    assert main.main(["explain", "redis.my-ns", "-n", "default", *CLUSTER]) == 1
    shown = capsys.readouterr().out.splitlines()[:2]
    assert shown[0].startswith("redis.my-ns.svc.cluster.local. NXDOMAIN"), (
        "not what ndots made of it"
    )
    assert shown[1] == "  no Service redis in namespace my-ns; did you mean redis-master?"
    assert main.main(["explain", "-x", "192.0.2.80", *CLUSTER]) == 0
    assert "PTR web.example.test." in capsys.readouterr().out


def test_what_is_not_ready(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["explain", "db-2.db.default.svc.cluster.local", *CLUSTER]) == 1
    assert capsys.readouterr().out.endswith("\n  kubectl describe pod -n default db-2\n")


def test_what_is_there_and_of_no_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An alias that leads nowhere, and an address at which nobody answers."""
    lost = "externalName: gone.default.svc.cluster.local, type: ExternalName"
    for name, spec in (("lost", lost), ("idle", "clusterIP: 10.0.0.1, selector: {app: idle}")):
        head = f"apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\n"
        (tmp_path / f"{name}.yaml").write_text(f"{head}spec: {{{spec}}}\n")
    words = ["-n", "default", "--manifests", str(tmp_path)]
    assert main.main(["explain", "lost", *words]) == 1
    assert "\n  kubectl get services -n default\n" in capsys.readouterr().out
    assert main.main(["explain", "idle", *words]) == 0
    assert "\n  kubectl get pods -n default --show-labels\n" in capsys.readouterr().out


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["explain", "nope.default.svc.cluster.local", "--json", *CLUSTER]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["reasons"] == ["no Service nope in namespace default"]
    assert document["next"][0] == "kubectl get services -n default"
    assert document["steps"][0] == "question: nope.default.svc.cluster.local. A"


def test_a_server_in_any_order_and_hostile(capsys: pytest.CaptureFixture[str]) -> None:
    """Its texts may hold anything, and what is to be pasted into a shell is quoted."""
    texts = [
        ("10", "reason: no Service $(reboot) in namespace a'b"),
        ("2", "answer: NXDOMAIN by \\027[31mkubernetes"),
        ("1", "question: web.test. A"),
    ]
    records = [f'web.test.explain.kdns. 0 IN TXT "{number} {text}"' for number, text in texts]
    with NameServer(*records, zone="kdns.") as server:
        assert main.main(["explain", "web.test", f"@127.0.0.1:{server.port}"]) == 1
        out = capsys.readouterr().out
        assert "\x1b" not in out
        assert "  kubectl get services -A --field-selector metadata.name='$(reboot)'" in out
        assert """-n 'a'"'"'b'""" in out
        server.rcode = 5
        assert main.main(["explain", "web.test", f"@127.0.0.1:{server.port}"]) == 1
        assert "REFUSED: it is no kdns, or does not explain" in capsys.readouterr().err


REASONS = {
    "no Service a in namespace b; did you mean c?": "kubectl get services -n b",
    "no Service prod in namespace default; a search list has appended to redis.prod, which exists (ndots)": "write redis.prod with the cluster's zone and a final dot, or have fewer ndots (dnsConfig)",
    "no namespace b": "kubectl get namespaces",
    "no namespace web; Service web is in namespace a, b: web.a.svc": "ask for web.a",
    "namespace b does not exist or is not exposed here": "kubectl get namespace b --show-labels",
    "Service a/b exists, headless, 0 of 2 endpoints ready: b-0, b-1": "kubectl get endpointslices -n a -l kubernetes.io/service-name=b -o wide",
    "Service a/b exists, 0 of 0 endpoints ready; its selector matches no running Pod": "kubectl get service -n a b -o jsonpath='{.spec.selector}'",
    "Service a/b exists, 0 of 0 endpoints ready; it has no selector": "kubectl get endpointslices -n a -l kubernetes.io/service-name=b -o wide",
    "Service a/b has no ready endpoint called c": "kubectl get endpointslices -n a -l kubernetes.io/service-name=b -o wide",
    "Service a/b has no such name below it; there are ENDPOINT, _PORT._PROTOCOL": "kubectl get endpointslices -n a -l kubernetes.io/service-name=b -o wide",
    "Service a/b has no port _x._tcp; it has _y._tcp": "kubectl get service -n a b -o jsonpath='{.spec.ports}'",
    "not synced yet: services: forbidden: cannot list": "kubectl auth can-i list services -A --as system:serviceaccount:NAMESPACE:NAME",
    "nothing here answers for www.example.org., nor is it in the cluster with a., b. appended": "names of the cluster end in its zone; -n NAMESPACE completes a short one as in a Pod there",
    "externalName leads to duo.: nothing here answers for it": "an externalName is a full name, such as SERVICE.NAMESPACE.svc and the cluster's zone",
    "externalName leads to duo.: NXDOMAIN": "an externalName is a full name, such as SERVICE.NAMESPACE.svc and the cluster's zone",
    "the aliases form a loop of 2: a.b.svc.d. -> x.test. -> a.b.svc.d.": "kubectl get services -A --field-selector spec.type=ExternalName",
    "more than 11 aliases, one after the other; a.b.svc.d. is not asked for": "kubectl get services -A --field-selector spec.type=ExternalName",
    "externalName leads to a.b.svc.d.: no Service a in namespace b": "kubectl get services -n b",
    "no directive of this server block answers for the name": "names of the cluster end in its zone; -n NAMESPACE completes a short one as in a Pod there",
    "API server https://10.0.0.1 not reachable since 2026-01-01T00:00:00Z": "kubectl get --raw /readyz",
}


SLICE = (
    "EndpointSlice a/b-1: 10.0.0.1 ready (Pod b-0) hostname b-0;"
    " 10.0.0.2 not ready (Pod b-1) hostname b-1; 10.0.0.3 terminating (Pod b-x2) hostname B-2;"
    " fd00::4 not ready (Pod b-y3); 10.0.0.5 not ready (Pod b-4)"
)


@pytest.mark.parametrize(
    ("reason", "pods"),
    [
        ("Service a/b exists, headless, 0 of 4 endpoints ready: b-1, …", ["b-1", "b-x2", "b-y3"]),
        ("Service a/b has no ready endpoint called b-2; it is terminating", ["b-x2"]),
        ("Service a/b has no ready endpoint called fd00--4; it is not ready", ["b-y3"]),
        ("Service a/b has no ready endpoint called b-9; ready: b-0", []),
    ],
)
def test_which_pods_to_look_at(reason: str, pods: list[str]) -> None:
    wanted = [f"kubectl describe pod -n a {pod}" for pod in pods]
    assert not_ready([reason], ["Namespace a: exposed", SLICE]) == wanted


@pytest.mark.parametrize("endpoint", ["10.0.0.2", "fd00::4", "10.0.0.2 (terminating)"])
def test_an_endpoint_without_pod(endpoint: str) -> None:
    lines = advice([f"Service a/b exists, 0 of 1 endpoints ready: {endpoint}, 10.0.0.3"])
    assert lines == ["kubectl get endpointslices -n a -l kubernetes.io/service-name=b -o wide"]


@pytest.mark.parametrize(("reason", "first"), REASONS.items())
def test_what_to_do_next(reason: str, first: str) -> None:
    assert advice([reason])[0] == first


SAYS_IT_ALL = {
    Reason.NO_SUCH_TYPE,
    Reason.EMPTY_NON_TERMINAL,
    Reason.PODS_DISABLED,
    Reason.POD_NAME_IS_NO_ADDRESS,
    Reason.ENDPOINTS_NOT_WATCHED,
}


@pytest.mark.parametrize("reason", explain._FIXED)
def test_fixed_reasons(reason: Reason) -> None:
    """Each has something to do next, or none is needed."""
    text = explain._FIXED[reason].replace("{service}", "a/b")
    text = text.replace("{asked.namespace}", "a").replace("{asked.service}", "10-0-0-1")
    assert bool(advice([text])) is (reason not in SAYS_IT_ALL)


def test_a_configuration_that_does_not_explain(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "Corefile"
    path.write_text(
        f".:53 {{\nexplain off\nkubernetes cluster.local {{\nmanifests {CLUSTER[1]}\n}}\n}}\n"
    )
    assert main.main(["explain", "db.default.svc.cluster.local", "--conf", str(path)]) == 1
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith("kdns: this configuration does not explain: explanations are for ")


KUBECONFIG = """\
current-context: only
contexts: [{{name: only, context: {{cluster: only}}}}]
clusters: [{{name: only, cluster: {{server: "http://127.0.0.1:{}"}}}}]
"""


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("explain web MX A --manifests x", "one type at a time"),
        ("explain web --conf x --manifests y", "--manifests has no effect with --conf; say one of"),
        (
            "explain web @::1 --in-cluster",
            "--in-cluster has no effect with @::1; say one of the two",
        ),
        ("dump a.test @::1 --zones x", "--zones has no effect with @::1; say one of the two"),
    ],
)
def test_what_would_be_left_unused(
    line: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(line.split()) == 1
    assert capsys.readouterr().err.startswith(f"kdns: {expected}")


@pytest.mark.parametrize("words", [["explain", "web"], ["dump", "all"]], ids=lambda words: words[0])
def test_an_api_server_that_refuses_is_not_waited_for(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config"
    with socket.socket() as unheard:  # bound, so nobody else listens there
        unheard.bind(("127.0.0.1", 0))
        port = unheard.getsockname()[1]
        config.write_text(KUBECONFIG.format(port))
        assert main.main([*words, "--kubeconfig", str(config)]) == 1
    problem = f"cannot connect to 127.0.0.1:{port}: connection refused"
    waiting, given_up = capsys.readouterr().err.splitlines()
    assert waiting.startswith(f"kdns: waiting for http://127.0.0.1:{port}: services: ")
    assert given_up.startswith(f"kdns: http://127.0.0.1:{port}: services: {problem}; ")


def test_an_api_server_that_says_nothing_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("kdns.cli.configured.PATIENCE", 0.6)
    config = tmp_path / "config"
    with socket.create_server(("127.0.0.1", 0)) as mute:
        server = f"http://127.0.0.1:{mute.getsockname()[1]}"
        config.write_text(KUBECONFIG.format(mute.getsockname()[1]))
        assert main.main(["explain", "web", "--kubeconfig", str(config)]) == 1
    waiting, given_up = capsys.readouterr().err.splitlines()
    assert waiting == f"kdns: waiting for {server}: services: waiting for the first list"
    assert given_up.startswith(f"kdns: {server}: nothing listed within 0.6 s: ")
