"""What published dashboards and alerts made for CoreDNS select, group by and show.

Read from povilasv/coredns-mixin (``alerts/``, ``dashboards/coredns.libsonnet``; kube-prometheus takes it
in), from kube-prometheus-stack's ``k8s-coredns`` and from dotdc's ``k8s-system-coredns``. Labels that
Prometheus adds (job, instance, pod, cluster) are left out, and so is what CoreDNS 1.15 has not got either:
``type`` of the cache's misses, and the names of before 1.7.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Series(NamedTuple):
    """A sample's name, the labels it has to have, and those values that are asked for."""

    name: str
    labels: tuple[str, ...] = ()
    selected: tuple[tuple[str, str], ...] = ()


_BLOCK: Final = ("server", "zone", "view")
_BOTH: Final = (("proto", "udp"), ("proto", "tcp"))

SERIES: Final = (
    Series("coredns_build_info"),
    Series("coredns_panics_total"),
    Series("coredns_plugin_enabled", ("name",)),
    Series("coredns_dns_requests_total", ("proto", "type", "zone", "server"), _BOTH),
    Series("coredns_dns_do_requests_total"),
    Series("coredns_dns_request_duration_seconds_bucket", ("le", *_BLOCK)),
    Series("coredns_dns_request_size_bytes_bucket", ("le", "proto", *_BLOCK), _BOTH),
    Series("coredns_dns_request_size_bytes_sum", ("proto",), _BOTH),
    Series("coredns_dns_response_size_bytes_bucket", ("le", "proto", *_BLOCK), _BOTH),
    Series("coredns_dns_responses_total", ("rcode", "plugin", *_BLOCK), (("rcode", "SERVFAIL"),)),
    Series("coredns_cache_entries", ("type",), (("type", "success"), ("type", "denial"))),
    Series("coredns_cache_hits_total", ("type",), (("type", "success"),)),
    Series("coredns_cache_misses_total"),
    Series("coredns_forward_requests_total", ("to",)),
    Series("coredns_forward_responses_total", ("to", "rcode"), (("rcode", "NXDOMAIN"),)),
    Series("coredns_forward_request_duration_seconds_bucket", ("le", "to", "rcode")),
    Series("coredns_forward_healthcheck_failures_total", ("to",)),
    Series("coredns_forward_healthcheck_broken_total"),
    Series("coredns_kubernetes_dns_programming_duration_seconds_bucket", ("le", "service_kind")),
    Series("process_cpu_seconds_total"),
    Series("process_resident_memory_bytes"),
)
"""All but ``go_goroutines``, of which a Python program has none."""
