"""Every series there is, named once: name, kind, what it counts, labels.

``coredns_`` where it means what CoreDNS's means, because dashboards and alerts rely on those names;
``kdns_`` for what only we have.
"""

from __future__ import annotations

from typing import Final

from kdns.metrics.family import (
    PROGRAMMING_BUCKETS,
    REQUEST_BUCKETS,
    SIZE_BUCKETS,
    SLIM_TIME_BUCKETS,
    TIME_BUCKETS,
    Family,
    counter,
    gauge,
    histogram,
)

_BLOCK: Final = "server zone view"

# Questions and answers; all of these are made from meters.
REQUESTS: Final = counter(
    "coredns_dns_requests_total", "DNS requests.", f"{_BLOCK} proto family type"
)
REQUEST_DURATION: Final = histogram(
    "coredns_dns_request_duration_seconds",
    "Seconds that each request took.",
    _BLOCK,
    buckets=TIME_BUCKETS,
)
REQUEST_SIZE: Final = histogram(
    "coredns_dns_request_size_bytes",
    "Octets of each request.",
    f"{_BLOCK} proto",
    buckets=SIZE_BUCKETS,
)
DO_REQUESTS: Final = counter(
    "coredns_dns_do_requests_total", "DNS requests with the DO bit set.", _BLOCK
)
RESPONSE_SIZE: Final = histogram(
    "coredns_dns_response_size_bytes",
    "Octets of each response.",
    f"{_BLOCK} proto",
    buckets=SIZE_BUCKETS,
)
RESPONSES: Final = counter(
    "coredns_dns_responses_total",
    "DNS responses by response code and plugin.",
    f"{_BLOCK} rcode plugin",
)

# The process and its configuration.
BUILD_INFO: Final = gauge(
    "coredns_build_info",
    "Always 1; says which program and version this is.",
    "version revision goversion",
)
PANICS: Final = counter("coredns_panics_total", "Unexpected errors survived.")
PLUGIN_ENABLED: Final = gauge(
    "coredns_plugin_enabled", "Always 1; the plugins of each server block.", f"{_BLOCK} name"
)
HEALTH_DURATION: Final = histogram(
    "coredns_health_request_duration_seconds",
    "Seconds to get our own /health.",
    buckets=SLIM_TIME_BUCKETS,
)
HEALTH_FAILURES: Final = counter(
    "coredns_health_request_failures_total", "Failed requests for our own /health."
)
RELOAD_FAILED: Final = counter(
    "coredns_reload_failed_total", "Reloads that failed and left all as it was."
)
RELOAD_VERSION: Final = gauge(
    "coredns_reload_version_info", "Always 1; the hash of the running configuration.", "hash value"
)

# Forwarding, and the cache of the answers.
PROXY_DURATION: Final = histogram(
    "coredns_proxy_request_duration_seconds",
    "Seconds until an upstream replied.",
    "proxy_name to rcode",
    buckets=TIME_BUCKETS,
)
PROXY_CHECK_FAILURES: Final = counter(
    "coredns_proxy_healthcheck_failures_total", "Failed health checks.", "proxy_name to"
)
PROXY_KEPT: Final = counter(
    "coredns_proxy_conn_cache_hits_total",
    "Queries sent over a connection or UDP socket that was open.",
    "proxy_name to proto",
)
PROXY_OPENED: Final = counter(
    "coredns_proxy_conn_cache_misses_total",
    "Queries sent over a new connection or UDP socket.",
    "proxy_name to proto",
)
# The same under the names of CoreDNS before 1.11, made by ``former``.
FORWARD_REQUESTS: Final = counter(
    "coredns_forward_requests_total", "Questions that an upstream answered.", "to"
)
FORWARD_RESPONSES: Final = counter(
    "coredns_forward_responses_total", "Replies of upstreams by response code.", "to rcode"
)
FORWARD_DURATION: Final = histogram(
    "coredns_forward_request_duration_seconds",
    PROXY_DURATION.help,
    "to rcode",
    buckets=TIME_BUCKETS,
)
FORWARD_CHECK_FAILURES: Final = counter(
    "coredns_forward_healthcheck_failures_total", PROXY_CHECK_FAILURES.help, "to"
)
FORWARD_BROKEN: Final = counter(
    "coredns_forward_healthcheck_broken_total", "Questions while all were down."
)
FORWARD_REJECTS: Final = counter(
    "coredns_forward_max_concurrent_rejects_total",
    "Questions refused because too many were under way.",
)
FORWARD_HEDGED: Final = counter(
    "kdns_forward_hedged_total",
    "Questions for which a second upstream was asked, the first being slow.",
)
ANSWERS_KEPT: Final = gauge(
    "coredns_cache_entries", "Answers in the cache.", "server type zones view"
)
ANSWER_HITS: Final = counter(
    "coredns_cache_hits_total", "Questions answered from the cache.", "server type zones view"
)
ANSWER_MISSES: Final = counter(
    "coredns_cache_misses_total", "Questions that the cache had no answer to.", "server zones view"
)
ANSWER_REQUESTS: Final = counter(
    "coredns_cache_requests_total", "Questions that came to the cache.", "server zones view"
)
ANSWER_PREFETCHES: Final = counter(
    "coredns_cache_prefetch_total", "Answers fetched anew before their end.", "server zones view"
)
ANSWERS_STALE: Final = counter(
    "coredns_cache_served_stale_total",
    "Questions answered after the answer's end.",
    "server zones view",
)
ANSWER_EVICTIONS: Final = counter(
    "coredns_cache_evictions_total", "Answers that made room for others.", "server type zones view"
)

# Other directives.
HOSTS_ENTRIES: Final = gauge(
    "coredns_hosts_entries", "Entries of hosts files and of inline lines.", "hostsfile"
)
HOSTS_RELOADED: Final = gauge(
    "coredns_hosts_reload_timestamp_seconds", "Change of the hosts file last read."
)
_TEMPLATE: Final = f"{_BLOCK} class type"
TEMPLATE_MATCHES: Final = counter(
    "coredns_template_matches_total", "Questions that a template matched.", _TEMPLATE
)
TEMPLATE_FAILURES: Final = counter(
    "coredns_template_template_failures_total",
    "Templates that failed.",
    f"{_TEMPLATE} section template",
)
TEMPLATE_RECORD_FAILURES: Final = counter(
    "coredns_template_rr_failures_total",
    "Templates that made no record.",
    f"{_TEMPLATE} section template",
)
LOCALHOST_REQUESTS: Final = counter(
    "coredns_local_localhost_requests_total", "Questions for names at localhost."
)
AUTOPATH_SUCCESS: Final = counter(
    "coredns_autopath_success_total", "Questions whose search path was walked.", "server"
)
DNS64_TRANSLATED: Final = counter(
    "coredns_dns64_requests_translated_total", "Questions answered by translation.", "server"
)
ACL_ALLOWED: Final = counter(
    "coredns_acl_allowed_requests_total", "Questions that acl let pass.", "server view"
)
ACL_BLOCKED: Final = counter(
    "coredns_acl_blocked_requests_total", "Questions that acl had refused.", "server zone view"
)
ACL_FILTERED: Final = counter(
    "coredns_acl_filtered_requests_total",
    "Questions given an empty answer by acl.",
    "server zone view",
)
ACL_DROPPED: Final = counter(
    "coredns_acl_dropped_requests_total",
    "Questions that acl left without reply.",
    "server zone view",
)

# The Kubernetes API.
PROGRAMMING_DURATION: Final = histogram(
    "coredns_kubernetes_dns_programming_duration_seconds",
    "Seconds from a change of endpoints to its being served.",
    "service_kind",
    buckets=PROGRAMMING_BUCKETS,
)
API_REQUESTS: Final = counter(
    "coredns_kubernetes_rest_client_requests_total",
    "Requests to the Kubernetes API; code is <error> where no reply came.",
    "code method host",
)
API_DURATION: Final = histogram(
    "coredns_kubernetes_rest_client_request_duration_seconds",
    "Seconds until the Kubernetes API replied.",
    "verb host",
    buckets=REQUEST_BUCKETS,
)
WATCH_AGE: Final = gauge(
    "kdns_watch_age_seconds",
    "Seconds since the watch was lost and not got back; 0 while it is up.",
    "source resource",
)
WATCH_SYNCED: Final = gauge(
    "kdns_watch_synced", "1 once a full list has arrived.", "source resource"
)
WATCH_RESTARTS: Final = counter(
    "kdns_watch_restarts_total", "Watches taken up again.", "source resource"
)
WATCH_RELISTS: Final = counter(
    "kdns_watch_relists_total", "Full lists after the first one.", "source resource"
)
SNAPSHOT_SERVED: Final = gauge(
    "kdns_snapshot_served",
    "1 while answers come from the snapshot on disk, the API server not having been reached.",
    "source",
)
SNAPSHOT_SAVED: Final = gauge(
    "kdns_snapshot_saved_timestamp_seconds", "When the snapshot was written last.", "source"
)
SNAPSHOT_FAILURES: Final = counter(
    "kdns_snapshot_failures_total", "Snapshots that could not be written.", "source"
)
INDEX_OBJECTS: Final = gauge("kdns_index_objects", "Objects known.", "source kind")

# The reply cache.
CACHE_ENTRIES: Final = gauge("kdns_reply_cache_entries", "Cached replies.")
CACHE_OCTETS: Final = gauge("kdns_reply_cache_octets", "Octets taken by cached replies.")
CACHE_HITS: Final = counter("kdns_reply_cache_hits_total", "Queries answered from the cache.")
CACHE_MISSES: Final = counter("kdns_reply_cache_misses_total", "Queries not found in the cache.")
CACHE_DROPS: Final = counter(
    "kdns_reply_cache_drops_total", "Cached replies that a change made invalid."
)
CACHE_EVICTIONS: Final = counter(
    "kdns_reply_cache_evictions_total", "Cached replies that made room for others."
)

# Listeners.
DROPPED_DATAGRAMS: Final = counter(
    "kdns_dropped_datagrams_total", "Datagrams that got no reply.", "reason"
)
TCP_CONNECTIONS: Final = gauge("kdns_tcp_connections", "Open TCP and TLS connections.")
TCP_ACCEPTED: Final = counter("kdns_tcp_accepted_total", "TCP connections accepted.")
TCP_CLOSED: Final = counter(
    "kdns_tcp_closed_total", "TCP connections that we closed or refused.", "reason"
)

# Zone files.
ZONE_FILE_FAILURES: Final = counter(
    "kdns_zone_file_failures_total", "Zone files that could not be loaded.", "file"
)
ZONE_SERIAL: Final = gauge("kdns_zone_serial", "Serial number of a zone file's SOA.", "zone")

# The interpreter.
RUNTIME_BLOCKS: Final = gauge(
    "python_allocated_blocks", "Memory blocks that the interpreter has given out."
)
RUNTIME_THREADS: Final = gauge("python_threads", "Threads alive.")

FROM_METERS: Final = (
    *(REQUESTS, REQUEST_DURATION, REQUEST_SIZE, DO_REQUESTS, RESPONSE_SIZE, RESPONSES),
)
FAMILIES: Final = tuple(value for value in tuple(globals().values()) if isinstance(value, Family))
"""All of them, in the order above."""
