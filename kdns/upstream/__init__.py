"""Querying other name servers.

``pool``      several upstreams: in which order they are tried, one exchange for equal queries;
``exchange``  when the next one is tried, and the clients that wait;
``upstream``  one of them: an attempt, over the right transport;
``sockets``   UDP sockets that many queries share;
``streams``   TCP and TLS connections, kept for the next query;
``replies``   whether a datagram is the reply to a query;
``deadlines`` time-outs of many waiting queries;
``health``    how an upstream does;
``probes``    health checks of one that failed, until it is well again;
``client``    a single query over UDP;
``resolv``    which upstreams a resolv.conf or a host name stands for.

Nothing here knows of server blocks or of what an answer is used for.
"""
