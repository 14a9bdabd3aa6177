"""What ``/metrics`` says: read back by prometheus_client's parser, and beside the real CoreDNS's."""

from __future__ import annotations

import re
import urllib.request
from pathlib import Path

import dns.flags
import dns.message
import dns.query
import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from kdns.metrics import Metrics, families
from kdns.metrics.meters import SAMPLE_WEIGHT, Histogram, Meter, QueryClass, labels_of, origin_of
from kdns.status import ResourceStatus, SourceStatus
from kdns.wire.constants import Rcode, Type
from kdns.wire.message import Answer, Edns, Query
from tests.cluster import programs
from tests.cluster.conftest import provide
from tests.cluster.processes import Process, free_dns_port, free_port, wait_until

SERVER = "dns://127.0.0.1:53"
BLOCK = {"server": SERVER, "zone": ".", "view": ""}


def scrape(metrics: Metrics) -> dict[str, Metric]:
    return read(metrics.expose().decode())


def read(text: str) -> dict[str, Metric]:
    return {metric.name: metric for metric in text_string_to_metric_families(text)}


def value(metrics: Metrics, name: str, /, **labels: str) -> float | None:
    """The sample with exactly these labels, or None."""
    for metric in scrape(metrics).values():
        for sample in metric.samples:
            if sample.name == name and sample.labels == labels:
                return sample.value
    return None


def observe(
    meter: Meter, asked: Query, answer: Answer, sizes: tuple[int, int], seconds: float
) -> None:
    """Count a reply that was just made."""
    origin = origin_of(asked.transport, asked.client)
    meter.observe(origin, labels_of(asked, answer), *sizes, seconds)


def cached(meter: Meter) -> QueryClass:
    return meter.classify(("udp", "1"), labels_of(query(), Answer()), 30, 120)


def query(qtype: int = Type.A, **fields: object) -> Query:
    fields.setdefault("client", "192.0.2.1")
    return Query(b"\1a\0", ("a",), qtype, **fields)  # type: ignore[arg-type]


def test_an_answer_is_counted_in_every_family() -> None:
    metrics = Metrics()
    meter = metrics.meter(SERVER, ".")
    asked = query(edns=Edns(dnssec_ok=True))
    answer = Answer(Rcode.NXDOMAIN, plugin="kubernetes")
    observe(meter, asked, answer, (44, 103), 0.0003)

    requests = BLOCK | {"proto": "udp", "family": "1", "type": "A"}
    assert value(metrics, "coredns_dns_requests_total", **requests) == 1
    responses = BLOCK | {"rcode": "NXDOMAIN", "plugin": "kubernetes"}
    assert value(metrics, "coredns_dns_responses_total", **responses) == 1
    assert value(metrics, "coredns_dns_do_requests_total", **BLOCK) == 1
    assert value(metrics, "coredns_dns_request_duration_seconds_sum", **BLOCK) == 0.0003
    assert value(metrics, "coredns_dns_request_duration_seconds_count", **BLOCK) == 1
    duration = "coredns_dns_request_duration_seconds_bucket"
    assert value(metrics, duration, le="0.00025", **BLOCK) == 0
    assert value(metrics, duration, le="0.0005", **BLOCK) == 1
    assert value(metrics, duration, le="+Inf", **BLOCK) == 1
    for name, octets, below, above in (
        ("request", 44, "0", "100"),
        ("response", 103, "100", "200"),
    ):
        size = f"coredns_dns_{name}_size_bytes"
        assert value(metrics, f"{size}_sum", proto="udp", **BLOCK) == octets
        assert value(metrics, f"{size}_bucket", le=below, proto="udp", **BLOCK) == 0
        assert value(metrics, f"{size}_bucket", le=above, proto="udp", **BLOCK) == 1


@pytest.mark.parametrize(
    ("asked", "labels"),
    [
        (query(transport="tcp"), {"proto": "tcp", "family": "1", "type": "A"}),
        (query(transport="tls"), {"proto": "tcp", "family": "1", "type": "A"}),
        (query(client="2001:db8::1"), {"proto": "udp", "family": "2", "type": "A"}),
        (query(client="::ffff:192.0.2.1"), {"proto": "udp", "family": "1", "type": "A"}),
        (query(Type.NSEC3), {"proto": "udp", "family": "1", "type": "NSEC3"}),
        (query(Type.HINFO), {"proto": "udp", "family": "1", "type": "other"}),
        (query(0), {"proto": "udp", "family": "1", "type": "other"}),
        (query(731), {"proto": "udp", "family": "1", "type": "other"}),
    ],
    ids=str,
)
def test_requests_are_told_apart(asked: Query, labels: dict[str, str]) -> None:
    metrics = Metrics()
    observe(metrics.meter(SERVER, "."), asked, Answer(), (20, 20), 0.0)
    assert value(metrics, "coredns_dns_requests_total", **BLOCK, **labels) == 1


def test_hits_count_as_many_answers_of_their_class() -> None:
    metrics = Metrics()
    meter = metrics.meter(SERVER, ".")
    observe(meter, query(), Answer(), (30, 120), 0.001)
    use = cached(meter)
    use.hits += 99
    assert use.report() == 99
    assert use.report() == 0
    assert value(metrics, "coredns_dns_request_duration_seconds_count", **BLOCK) == 100
    total = value(metrics, "coredns_dns_request_duration_seconds_sum", **BLOCK)
    assert total == pytest.approx(0.001 + 99 * meter.hit_seconds)
    for name, octets in (("request", 3000), ("response", 12000)):
        assert value(metrics, f"coredns_dns_{name}_size_bytes_sum", proto="udp", **BLOCK) == octets
        count = value(metrics, f"coredns_dns_{name}_size_bytes_count", proto="udp", **BLOCK)
        assert count == 100


def test_samples_move_what_a_hit_is_taken_to_last() -> None:
    meter = Metrics().meter(SERVER, ".")
    kept = cached(meter)
    before = meter.hit_seconds
    kept.took(0.001)
    assert meter.hit_seconds == pytest.approx(before + (0.001 - before) * SAMPLE_WEIGHT)
    for _ in range(200):
        kept.took(0.001)
    assert meter.hit_seconds == pytest.approx(0.001, rel=1e-3)


def test_hits_are_folded_before_each_scrape() -> None:
    metrics = Metrics()
    use = cached(metrics.meter(SERVER, "."))

    def hit() -> None:
        use.hits += 1
        use.report()

    metrics.before_scrape(hit)
    labels = BLOCK | {"rcode": "NOERROR", "plugin": ""}
    assert value(metrics, "coredns_dns_responses_total", **labels) == 1
    assert value(metrics, "coredns_dns_responses_total", **labels) == 2


def test_a_meter_lasts_over_a_reload() -> None:
    metrics = Metrics()
    assert metrics.meter(SERVER, ".") is metrics.meter(SERVER, ".")
    assert metrics.meter(SERVER, ".") is not metrics.meter(SERVER, "a.")


def test_sizes_do_not_multiply_classes() -> None:
    meter = Metrics().meter(SERVER, ".")
    for size in range(12, 65536, 7):
        observe(meter, query(), Answer(), (size, size), 0.0)
    assert len(meter.cells) == 14


@pytest.mark.parametrize(
    ("observed", "counts"), [(0.0, [1, 0, 0]), (1.0, [1, 0, 0]), (1.5, [0, 1, 0]), (9.0, [0, 0, 1])]
)
def test_a_bound_is_inside_its_bucket(observed: float, counts: list[int]) -> None:
    histogram = Histogram((1.0, 2.0))
    histogram.observe(observed)
    assert histogram.counts == counts


def test_counters_are_there_before_they_count() -> None:
    metrics = Metrics()
    assert value(metrics, "coredns_panics_total") == 0
    assert value(metrics, "coredns_health_request_duration_seconds_count") == 0
    metrics.count(families.PANICS)
    metrics.count(families.DROPPED_DATAGRAMS, "short", by=3)
    assert value(metrics, "coredns_panics_total") == 1
    assert value(metrics, "kdns_dropped_datagrams_total", reason="short") == 3


def test_values_are_read_at_the_scrape() -> None:
    metrics, enabled = Metrics(), {("dns://:53", ".", "", "errors"): 1.0}
    metrics.read(families.CACHE_ENTRIES, lambda: 7)
    metrics.read(families.PLUGIN_ENABLED, enabled.items)
    name = "coredns_plugin_enabled"
    labels = {"server": "dns://:53", "zone": ".", "view": "", "name": "errors"}
    assert value(metrics, "kdns_reply_cache_entries") == 7
    assert value(metrics, name, **labels) == 1
    enabled.clear()
    assert value(metrics, name, **labels) is None


def test_watches_tell_their_age() -> None:
    source = SourceStatus("https://10.0.0.1:6443")
    source.resources["services"] = ResourceStatus(synced=True, confirmed_at=990.0, relists=2)
    source.resources["pods"] = ResourceStatus(lost_at=940.0, restarts=3)
    metrics = Metrics()
    metrics.read_feeds(lambda: [source], list, lambda: 1000.0)
    expected = {
        "kdns_watch_age_seconds": (0.0, 60.0),
        "kdns_watch_synced": (1.0, 0.0),
        "kdns_watch_restarts_total": (0.0, 3.0),
        "kdns_watch_relists_total": (2.0, 0.0),
    }
    for name, (services, pods) in expected.items():
        assert value(metrics, name, source=source.name, resource="services") == services
        assert value(metrics, name, source=source.name, resource="pods") == pods


def test_label_values_are_escaped() -> None:
    metrics = Metrics()
    metrics.count(families.ZONE_FILE_FAILURES, 'a"b\\c\nd')
    assert value(metrics, "kdns_zone_file_failures_total", file='a"b\\c\nd') == 1


def test_former_names_of_forward_add_up_todays() -> None:
    metrics = Metrics()
    for to, rcode, seconds in (
        ("a", "NOERROR", 0.001),
        ("a", "SERVFAIL", 0.001),
        ("b", "NOERROR", 1),
    ):
        metrics.record(families.PROXY_DURATION, seconds, "forward", to, rcode)
    metrics.count(families.PROXY_CHECK_FAILURES, "forward", "b", by=3)
    assert value(metrics, "coredns_forward_requests_total", to="a") == 2
    assert value(metrics, "coredns_forward_responses_total", to="a", rcode="SERVFAIL") == 1
    assert value(metrics, "coredns_forward_healthcheck_failures_total", to="b") == 3
    duration = "coredns_forward_request_duration_seconds"
    assert value(metrics, f"{duration}_sum", to="b", rcode="NOERROR") == 1
    assert value(metrics, f"{duration}_bucket", to="b", rcode="NOERROR", le="0.512") == 0
    assert value(metrics, f"{duration}_bucket", to="b", rcode="NOERROR", le="1.024") == 1
    later = Metrics()
    later.absorb(1, metrics.export())
    assert value(later, "coredns_forward_requests_total", to="a") == 2


def test_what_all_processes_know_of_one_thing_is_told_once() -> None:
    """A worker is told how current the clusters are, and reads the zone files too."""
    source = SourceStatus("https://10.0.0.1:6443")
    source.resources["pods"] = ResourceStatus(restarts=3, relists=2)
    main, worker = Metrics(), Metrics()
    for each in (main, worker):
        each.read_feeds(lambda: [source], list, lambda: 1000.0)
        each.read(families.ZONE_FILE_FAILURES, lambda: [(("db.test",), 1)])
        each.read(families.ANSWERS_KEPT, lambda: [(("dns://:53", "success", ".", ""), 4)])
        each.count(families.PANICS)
    labels = {"source": source.name, "resource": "pods"}
    for check in range(2):
        if check:
            main.forget(1)
        else:
            main.absorb(1, worker.export())
        assert value(main, "kdns_watch_restarts_total", **labels) == 3
        assert value(main, "kdns_watch_relists_total", **labels) == 2
        assert value(main, "kdns_zone_file_failures_total", file="db.test") == 1
        assert value(main, "coredns_panics_total") == 2
        kept = {"server": "dns://:53", "type": "success", "zones": ".", "view": ""}
        assert value(main, "coredns_cache_entries", **kept) == (4 if check else 8)


def test_the_runtime_is_described() -> None:
    metrics = Metrics()
    plain = scrape(metrics)
    assert {"python_info", "python_gc_collections"} <= set(plain)
    assert "python_threads" not in plain
    metrics.read_runtime()
    assert {"python_threads", "python_allocated_blocks"} <= set(scrape(metrics))


def test_families_are_named_once_and_as_prometheus_wants() -> None:
    names = [family.name for family in families.FAMILIES]
    assert len(set(names)) == len(names)
    for family in families.FAMILIES:
        assert family.name.startswith(("coredns_", "kdns_", "python_"))
        assert family.name.endswith("_total") == (family.kind == "counter")
        assert bool(family.buckets) == (family.kind == "histogram")
        assert list(family.buckets) == sorted(family.buckets)
        assert family.help.endswith(".")


# Beside CoreDNS.


@pytest.fixture(scope="module")
def theirs(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Metric]:
    """A scrape of the real CoreDNS after the same questions that ``ours`` counts."""
    provide(request, "coredns")
    folder = tmp_path_factory.mktemp("coredns")
    process, text = ask_coredns(folder)
    process.stop()
    return read(text)


def ask_coredns(folder: Path) -> tuple[Process, str]:
    port, http, health = free_dns_port(), free_port(), free_port()
    corefile = folder / "Corefile"
    corefile.write_text(
        f". {{\nbind 127.0.0.1\nerrors\nwhoami\nprometheus 127.0.0.1:{http}\n"
        f"health 127.0.0.1:{health}\nreload\n}}"
    )
    command: list[str | Path] = [programs.require("coredns")]
    process = Process([*command, "-conf", corefile, "-dns.port", str(port)], folder / "log")
    process.wait_ready(lambda: f":{port} on" in process.log.read_text(), 60)
    for rtype in ("A", "TYPE731"):
        message = dns.message.make_query("a.", rtype)
        message.use_edns(0, ednsflags=dns.flags.DO)
        dns.query.udp(message, "127.0.0.1", 30, port)
        dns.query.tcp(message, "127.0.0.1", 30, port)
    text = ""

    def probed() -> bool:
        nonlocal text
        with urllib.request.urlopen(f"http://127.0.0.1:{http}/metrics") as reply:
            text = reply.read().decode()
        return bool(re.search("coredns_health_request_duration_seconds_count [1-9]", text))

    wait_until(probed, 60, "health probe counted")
    return process, text


@pytest.fixture(scope="module")
def ours() -> dict[str, Metric]:
    metrics = Metrics()
    meter = metrics.meter(SERVER, ".")
    for qtype in (1, 731):
        for transport in ("udp", "tcp"):
            asked = query(qtype, transport=transport, edns=Edns(dnssec_ok=True))
            observe(meter, asked, Answer(plugin="errors"), (30, 103), 0.001)
    names = ("errors", "prometheus", "whoami")
    metrics.read(families.PLUGIN_ENABLED, lambda: [((SERVER, ".", "", n), 1) for n in names])
    return scrape(metrics)


OTHERS = ("acl", "autopath", "cache", "dns64", "hosts", "kubernetes", "proxy", "template")
"""Whose series are there only with their directive, or an upstream, neither of which that Corefile has."""

FORMER = (
    families.FORWARD_REQUESTS,
    families.FORWARD_RESPONSES,
    families.FORWARD_DURATION,
    families.FORWARD_CHECK_FAILURES,
)
"""The peer had them before 1.11."""

SHARED = sorted(
    family.name.removesuffix("_total")
    for family in families.FAMILIES
    if family.name.startswith("coredns_")
    if not family.name.removeprefix("coredns_").startswith(OTHERS)
    if family is not families.RELOAD_VERSION  # there only after a first reload
    if family not in FORMER
)


@pytest.mark.parametrize("name", SHARED)
def test_series_are_the_peers(
    theirs: dict[str, Metric], ours: dict[str, Metric], name: str
) -> None:
    def shape(metric: Metric) -> set[tuple[str, frozenset[str], str]]:
        bounds = ((s.name, frozenset(s.labels), s.labels.get("le", "")) for s in metric.samples)
        return set(bounds)

    assert ours[name].type == theirs[name].type
    assert shape(ours[name]) == shape(theirs[name])


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("coredns_dns_requests", "proto"),
        ("coredns_dns_requests", "family"),
        ("coredns_dns_requests", "type"),
        ("coredns_dns_requests", "zone"),
        ("coredns_dns_requests", "view"),
        ("coredns_dns_responses", "rcode"),
    ],
)
def test_label_values_are_the_peers(
    theirs: dict[str, Metric], ours: dict[str, Metric], name: str, label: str
) -> None:
    values = [{s.labels[label] for s in m[name].samples} for m in (ours, theirs)]
    assert values[0] == values[1]
