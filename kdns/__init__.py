"""kdns: an authoritative DNS server for Kubernetes service discovery that can explain every answer.

Two flows, and nothing turns round::

    query      request ─► listeners ─► Repeats, by octets ─► ReplyCache, by meaning ─(hit: reply)─►
                                                          │ miss
                                                          ▼
           responder ─► plugins (a chain) ─► records.lookup | upstream ─► Answer ─► wire.encode ─► Encoded,
                                       cached under the keys it depends on; each reply is made from it

    change     API event, manifest, zone file ─► sources ─► records.objects ─► records.index.apply
                                              ─► changed keys ─► ReplyCache.drop

Imports point down only, and a contract checks it::

    cli > server > listeners | sources | derivation | stub | system > answers > plugins > upstream
        > supervisor > metrics | status | whole_file > records | config > wire

``wire``, ``records`` and ``config`` are pure: they open nothing, wait for nothing and read no clock.
"""

__version__ = "0.1.0"
