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

# Forwarding, and the cache of the answers.
PROXY_DURATION: Final = Family(
    *("coredns_proxy_request_duration_seconds", "histogram", "Seconds until an upstream replied."),
    labels=("proxy_name", "to", "rcode"),
    buckets=TIME_BUCKETS,
)
PROXY_CHECK_FAILURES: Final = Family(
    *("coredns_proxy_healthcheck_failures_total", "counter", "Failed health checks."),
    labels=("proxy_name", "to"),
)
PROXY_KEPT: Final = Family(
    "coredns_proxy_conn_cache_hits_total",
    "counter",
    "Questions sent over a connection that was kept.",
    labels=("proxy_name", "to", "proto"),
)
PROXY_OPENED: Final = Family(
    "coredns_proxy_conn_cache_misses_total",
    "counter",
    "Questions sent over a new connection or socket.",
    labels=("proxy_name", "to", "proto"),
)
# The same under the names of CoreDNS before 1.11, made by ``former``.
FORWARD_REQUESTS: Final = Family(
    *("coredns_forward_requests_total", "counter", "Questions that an upstream answered."),
    labels=("to",),
)
FORWARD_RESPONSES: Final = Family(
    *("coredns_forward_responses_total", "counter", "Replies of upstreams by response code."),
    labels=("to", "rcode"),
)
FORWARD_DURATION: Final = Family(
    *("coredns_forward_request_duration_seconds", "histogram", PROXY_DURATION.help),
    labels=("to", "rcode"),
    buckets=TIME_BUCKETS,
)
FORWARD_CHECK_FAILURES: Final = Family(
    *("coredns_forward_healthcheck_failures_total", "counter", PROXY_CHECK_FAILURES.help),
    labels=("to",),
)
FORWARD_BROKEN: Final = Family(
    *("coredns_forward_healthcheck_broken_total", "counter", "Questions while all were down."),
)
FORWARD_REJECTS: Final = Family(
    "coredns_forward_max_concurrent_rejects_total",
    "counter",
    "Questions refused because too many were under way.",
)
FORWARD_HEDGED: Final = Family(
    "kdns_forward_hedged_total",
    "counter",
    "Questions for which a second upstream was asked, the first being slow.",
)
ANSWERS_KEPT: Final = Family(
    *("coredns_cache_entries", "gauge", "Answers in the cache."),
    labels=("server", "type", "zones", "view"),
)
ANSWER_HITS: Final = Family(
    *("coredns_cache_hits_total", "counter", "Questions answered from the cache."),
    labels=("server", "type", "zones", "view"),
)
ANSWER_MISSES: Final = Family(
    *("coredns_cache_misses_total", "counter", "Questions that the cache had no answer to."),
    labels=("server", "zones", "view"),
)
ANSWER_REQUESTS: Final = Family(
    *("coredns_cache_requests_total", "counter", "Questions that came to the cache."),
    labels=("server", "zones", "view"),
)
ANSWER_PREFETCHES: Final = Family(
    *("coredns_cache_prefetch_total", "counter", "Answers fetched anew before their end."),
    labels=("server", "zones", "view"),
)
ANSWERS_STALE: Final = Family(
    *("coredns_cache_served_stale_total", "counter", "Questions answered after the answer's end."),
    labels=("server", "zones", "view"),
)
ANSWER_EVICTIONS: Final = Family(
    *("coredns_cache_evictions_total", "counter", "Answers that made room for others."),
    labels=("server", "type", "zones", "view"),
)

# Other directives.
HOSTS_ENTRIES: Final = Family(
    *("coredns_hosts_entries", "gauge", "Entries of hosts files and of inline lines."),
    labels=("hostsfile",),
)
HOSTS_RELOADED: Final = Family(
    "coredns_hosts_reload_timestamp_seconds", "gauge", "Change of the hosts file last read."
)
_TEMPLATE: Final = (*_BLOCK, "class", "type")
TEMPLATE_MATCHES: Final = Family(
    *("coredns_template_matches_total", "counter", "Questions that a template matched."),
    labels=_TEMPLATE,
)
TEMPLATE_FAILURES: Final = Family(
    *("coredns_template_template_failures_total", "counter", "Templates that failed."),
    labels=(*_TEMPLATE, "section", "template"),
)
TEMPLATE_RECORD_FAILURES: Final = Family(
    *("coredns_template_rr_failures_total", "counter", "Templates that made no record."),
    labels=(*_TEMPLATE, "section", "template"),
)
LOCALHOST_REQUESTS: Final = Family(
    "coredns_local_localhost_requests_total", "counter", "Questions for names at localhost."
)
AUTOPATH_SUCCESS: Final = Family(
    *("coredns_autopath_success_total", "counter", "Questions whose search path was walked."),
    labels=("server",),
)
DNS64_TRANSLATED: Final = Family(
    *("coredns_dns64_requests_translated_total", "counter", "Questions answered by translation."),
    labels=("server",),
)
ACL_ALLOWED: Final = Family(
    *("coredns_acl_allowed_requests_total", "counter", "Questions that acl let pass."),
    labels=("server", "view"),
)
ACL_BLOCKED: Final = Family(
    *("coredns_acl_blocked_requests_total", "counter", "Questions that acl had refused."),
    labels=("server", "zone", "view"),
)
ACL_FILTERED: Final = Family(
    *("coredns_acl_filtered_requests_total", "counter", "Questions given an empty answer by acl."),
    labels=("server", "zone", "view"),
)
ACL_DROPPED: Final = Family(
    *("coredns_acl_dropped_requests_total", "counter", "Questions that acl left without reply."),
    labels=("server", "zone", "view"),
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
SNAPSHOT_SERVED: Final = Family(
    "kdns_snapshot_served",
    "gauge",
    "1 while answers come from the snapshot on disk, the API server not having been reached.",
    labels=("source",),
)
SNAPSHOT_SAVED: Final = Family(
    *("kdns_snapshot_saved_timestamp_seconds", "gauge", "When the snapshot was written last."),
    labels=("source",),
)
SNAPSHOT_FAILURES: Final = Family(
    *("kdns_snapshot_failures_total", "counter", "Snapshots that could not be written."),
    labels=("source",),
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
