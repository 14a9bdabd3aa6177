"""Side-by-side measurements: kdns beside CoreDNS, Knot and a bare echo, on one real control plane.

``python -m bench [ROW …]`` (or ``make bench ROW=name``). Every figure is a ratio within one run: the
servers take turns on the same machine (A B A B …), each under a load that ends by itself, so that what
else happens there touches both. Nothing leaves loopback.

    table ── rows/* ── lab (control plane, servers) ── servers, cluster, corefiles, cpu_limit
                   ├── load (load.c) with packets, dnsperf
                   └── cost with usage (/proc, perf), rounds (medians, spread)
    report ── bench/RESULTS.md and its chart
    soak ── changes: minutes of load and changes on one kdns, by itself (``python -m bench.soak``)
"""
