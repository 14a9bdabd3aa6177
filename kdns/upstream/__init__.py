"""Asking other name servers.

``client``   one exchange over UDP;
``streams``  TCP and TLS connections, kept for the next question;
``deadlines`` time-outs of many waiting questions;
``health``   what is known of how an upstream does;
``upstream`` one of them, over the right transport;
``race``     when another one is asked;
``pool``     several of them: in which order, one exchange per question;
``probes``   asking after the health of one that failed, until it is well again;
``resolv``   which upstreams a resolv.conf or a host name stands for.

Nothing here knows of server blocks or of what an answer is used for.
"""
