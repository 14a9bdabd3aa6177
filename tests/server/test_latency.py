"""Change to answer, and requests to the API server, as the series have them."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from kdns.metrics import Metrics
from kdns.records.index import Index
from kdns.records.objects import Change, Gone, Kind, Put, Replaced, Service, Slice
from kdns.server.latency import record_programming, request_observer

NOW = 1000.0
CLUSTER_IP = Service("default", "web", cluster_ips=("10.96.0.1",))
HEADLESS = Service("default", "db", headless=True)


def _samples(metrics: Metrics) -> dict[str, float]:
    families = text_string_to_metric_families(metrics.expose().decode())
    return {
        " ".join([sample.name, *(sample.labels.values())]): sample.value
        for family in families
        if family.name.startswith("coredns_kubernetes")
        for sample in family.samples
        if not sample.name.endswith("_bucket")
    }


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        pytest.param(Put(Slice("default", "a", "web", triggered=999.5)), "cluster_ip", id="web"),
        pytest.param(
            Put(Slice("default", "a", "db", triggered=999.5)), "headless_with_selector", id="db"
        ),
        pytest.param(Put(Slice("default", "a", "web")), "", id="no annotation"),
        pytest.param(Put(Slice("default", "a", "gone", triggered=999.5)), "", id="no Service"),
        pytest.param(Put(CLUSTER_IP), "", id="a Service"),
        pytest.param(Gone(Kind.SLICE, "default", "a"), "", id="deleted"),
        pytest.param(
            Replaced(Kind.SLICE, (Slice("default", "a", "web", triggered=1.0),)), "", id="a list"
        ),
    ],
)
def test_programming_duration(change: Change, kind: str) -> None:
    metrics, index = Metrics(), Index()
    for service in (CLUSTER_IP, HEADLESS):
        index.apply(Put(service), NOW)
    record_programming(metrics, index, change, NOW)
    name = "coredns_kubernetes_dns_programming_duration_seconds"
    expected = {f"{name}_count {kind}": 1.0, f"{name}_sum {kind}": 0.5} if kind else {}
    assert _samples(metrics) == expected


def test_requests() -> None:
    metrics = Metrics()
    observe = request_observer(metrics)
    observe("200", "10.0.0.1:6443", 0.25)
    observe("<error>", "10.0.0.1:6443", 0.5)
    assert _samples(metrics) == {
        "coredns_kubernetes_rest_client_requests_total 200 10.0.0.1:6443 GET": 1.0,
        "coredns_kubernetes_rest_client_requests_total <error> 10.0.0.1:6443 GET": 1.0,
        "coredns_kubernetes_rest_client_request_duration_seconds_count 10.0.0.1:6443 GET": 2.0,
        "coredns_kubernetes_rest_client_request_duration_seconds_sum 10.0.0.1:6443 GET": 0.75,
    }
