"""Every series there is, named once: name, kind, what it counts, labels.

``coredns_`` where it means what CoreDNS's means, because dashboards and alerts rely on those names;
``kdns_`` for what only we have.
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct


class Family(Struct, frozen=True):
    """A metric: all series of one name. Counters are named with their ``_total``."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    """Upper bounds of a histogram, ascending, without infinity."""


def _doubling(start: float, factor: float, count: int) -> tuple[float, ...]:
    return tuple(start * factor**power for power in range(count))


TIME_BUCKETS: Final = _doubling(0.00025, 2, 16)  # seconds: 0.25 ms to 8.2 s
SLIM_TIME_BUCKETS: Final = _doubling(0.00025, 10, 5)  # seconds: 0.25 ms to 2.5 s
PROGRAMMING_BUCKETS: Final = _doubling(0.001, 2, 20)  # seconds: 1 ms to 8.7 min
REQUEST_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)  # seconds
SIZE_BUCKETS: Final[tuple[float, ...]] = (
    *(0, 100, 200, 300, 400, 511, 1023, 2047, 4095, 8291),
    *(16000, 32000, 48000, 64000),
)  # octets

_BLOCK: Final = ("server", "zone", "view")

# Questions and answers; all of these are made from meters.
REQUESTS: Final = Family(
    *("coredns_dns_requests_total", "counter", "DNS requests."),
    labels=(*_BLOCK, "proto", "family", "type"),
)
REQUEST_DURATION: Final = Family(
    *("coredns_dns_request_duration_seconds", "histogram", "Seconds that each request took."),
    labels=_BLOCK,
    buckets=TIME_BUCKETS,
)
REQUEST_SIZE: Final = Family(
    *("coredns_dns_request_size_bytes", "histogram", "Octets of each request."),
    labels=(*_BLOCK, "proto"),
    buckets=SIZE_BUCKETS,
)
DO_REQUESTS: Final = Family(
    *("coredns_dns_do_requests_total", "counter", "DNS requests with the DO bit set."),
    labels=_BLOCK,
)
RESPONSE_SIZE: Final = Family(
    *("coredns_dns_response_size_bytes", "histogram", "Octets of each response."),
    labels=(*_BLOCK, "proto"),
    buckets=SIZE_BUCKETS,
)
RESPONSES: Final = Family(
    *("coredns_dns_responses_total", "counter", "DNS responses by response code and plugin."),
    labels=(*_BLOCK, "rcode", "plugin"),
)

# The process and its configuration.
BUILD_INFO: Final = Family(
    *("coredns_build_info", "gauge", "Always 1; says which program and version this is."),
    labels=("version", "revision", "goversion"),
)
PANICS: Final = Family("coredns_panics_total", "counter", "Unexpected errors survived.")
PLUGIN_ENABLED: Final = Family(
    *("coredns_plugin_enabled", "gauge", "Always 1; the plugins of each server block."),
    labels=(*_BLOCK, "name"),
)
HEALTH_DURATION: Final = Family(
    *("coredns_health_request_duration_seconds", "histogram", "Seconds to get our own /health."),
    buckets=SLIM_TIME_BUCKETS,
)
HEALTH_FAILURES: Final = Family(
    "coredns_health_request_failures_total", "counter", "Failed requests for our own /health."
)
RELOAD_FAILED: Final = Family(
    "coredns_reload_failed_total", "counter", "Reloads that failed and left all as it was."
)
RELOAD_VERSION: Final = Family(
    *("coredns_reload_version_info", "gauge", "Always 1; the hash of the running configuration."),
    labels=("hash", "value"),
)

# The Kubernetes API.
PROGRAMMING_DURATION: Final = Family(
    "coredns_kubernetes_dns_programming_duration_seconds",
    "histogram",
    "Seconds from a change of endpoints to its being served.",
    labels=("service_kind",),
    buckets=PROGRAMMING_BUCKETS,
)
API_REQUESTS: Final = Family(
    "coredns_kubernetes_rest_client_requests_total",
    "counter",
    "Requests to the Kubernetes API; code is <error> where no reply came.",
    labels=("code", "method", "host"),
)
API_DURATION: Final = Family(
    "coredns_kubernetes_rest_client_request_duration_seconds",
    "histogram",
    "Seconds until the Kubernetes API replied.",
    labels=("verb", "host"),
    buckets=REQUEST_BUCKETS,
)
WATCH_AGE: Final = Family(
    "kdns_watch_age_seconds",
    "gauge",
    "Seconds since the watch was lost and not got back; 0 while it is up.",
    labels=("source", "resource"),
)
WATCH_SYNCED: Final = Family(
    *("kdns_watch_synced", "gauge", "1 once a full list has arrived."),
    labels=("source", "resource"),
)
WATCH_RESTARTS: Final = Family(
    *("kdns_watch_restarts_total", "counter", "Watches taken up again."),
    labels=("source", "resource"),
)
WATCH_RELISTS: Final = Family(
    *("kdns_watch_relists_total", "counter", "Full lists after the first one."),
    labels=("source", "resource"),
)
INDEX_OBJECTS: Final = Family(
    *("kdns_index_objects", "gauge", "Objects known."), labels=("source", "kind")
)

# The packet cache.
CACHE_ENTRIES: Final = Family("kdns_packet_cache_entries", "gauge", "Replies kept.")
CACHE_HITS: Final = Family(
    "kdns_packet_cache_hits_total", "counter", "Requests answered with a kept reply."
)
CACHE_MISSES: Final = Family(
    "kdns_packet_cache_misses_total", "counter", "Requests for which no reply was kept."
)
CACHE_DROPS: Final = Family(
    "kdns_packet_cache_drops_total", "counter", "Kept replies that a change made invalid."
)
CACHE_EVICTIONS: Final = Family(
    "kdns_packet_cache_evictions_total", "counter", "Kept replies that made room for others."
)

# Listeners.
DROPPED_DATAGRAMS: Final = Family(
    *("kdns_dropped_datagrams_total", "counter", "Datagrams that got no reply."), labels=("reason",)
)
TCP_CONNECTIONS: Final = Family("kdns_tcp_connections", "gauge", "Open TCP and TLS connections.")
TCP_ACCEPTED: Final = Family("kdns_tcp_accepted_total", "counter", "TCP connections accepted.")
TCP_CLOSED: Final = Family(
    *("kdns_tcp_closed_total", "counter", "TCP connections that we closed or refused."),
    labels=("reason",),
)

# Zone files.
ZONE_FILE_FAILURES: Final = Family(
    *("kdns_zone_file_failures_total", "counter", "Zone files that could not be loaded."),
    labels=("file",),
)
ZONE_SERIAL: Final = Family(
    *("kdns_zone_serial", "gauge", "Serial number of a zone file's SOA."), labels=("zone",)
)

# The interpreter.
RUNTIME_BLOCKS: Final = Family(
    "python_allocated_blocks", "gauge", "Memory blocks that the interpreter has given out."
)
RUNTIME_THREADS: Final = Family("python_threads", "gauge", "Threads alive.")

FROM_METERS: Final = (
    *(REQUESTS, REQUEST_DURATION, REQUEST_SIZE, DO_REQUESTS, RESPONSE_SIZE, RESPONSES),
)
FAMILIES: Final = tuple(value for value in tuple(globals().values()) if isinstance(value, Family))
"""All of them, in the order above."""
