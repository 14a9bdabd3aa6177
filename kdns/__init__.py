"""kdns: an authoritative DNS server for Kubernetes service discovery that can explain every answer.

Two flows, and nothing turns round::

    question   datagram ─► listeners ─► packet_cache ─(kept: bytes out)─►
                                         │ else
                                         ▼
               responder ─► plugins (a chain) ─► records.lookup ─► Answer ─► wire.encode ─► bytes,
                                              kept in packet_cache under the keys it depends on

    change     API event, manifest, zone file ─► sources ─► records.objects ─► records.index.apply
                                              ─► changed keys ─► packet_cache.drop

Imports point down only, and a contract checks it::

    cli > server > listeners | sources | derivation | stub | system > responder > packet_cache > plugins
        > upstream > supervisor > metrics | status | whole_file > records | config > wire

``wire``, ``records`` and ``config`` are pure: they open nothing, wait for nothing and read no clock.
"""

__version__ = "0.1.0"
