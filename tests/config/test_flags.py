from __future__ import annotations

import pytest

from kdns.config.flags import ServeFlags, to_blocks
from kdns.config.printer import to_text
from kdns.config.tree import ConfigError

DEFAULT = """\
.:1053 {
    bind 127.0.0.1
    errors
    loadbalance
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        manifests examples/cluster
        pods insecure
        ttl 5
        fallthrough in-addr.arpa ip6.arpa
    }
}
"""


def test_default() -> None:
    assert to_text(to_blocks(ServeFlags(manifests="examples/cluster"))) == DEFAULT


def test_everything() -> None:
    flags = ServeFlags(
        kubeconfig="~/my config",
        context="kind",
        listen=("127.0.0.1:53", "[::1]:53", "127.0.0.1:53", ":1053", "10.0.0.1:1053"),
        zones=("k8s.test", "10.in-addr.arpa."),
        zone_folders=("zones", "more"),
        shortnames="shop",
        pods="verified",
        ttl=30,
        log=True,
        health=":8080",
        ready="127.0.0.1:0",
        metrics="localhost:9153",
    )
    serving = """\
    errors
    log
    prometheus localhost:9153
    loadbalance
    shortnames shop
    kubernetes k8s.test 10.in-addr.arpa. {
        kubeconfig "~/my config" kind
        pods verified
        ttl 30
        fallthrough 10.in-addr.arpa.
    }
    auto {
        directory zones
    }
    auto {
        directory more
    }
}
"""
    once = "    bind 127.0.0.1 ::1\n    health :8080\n    ready 127.0.0.1:0\n"
    assert to_text(to_blocks(flags)) == f".:53 {{\n{once}{serving}\n.:1053 {{\n{serving}"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (ServeFlags(listen=("localhost",)), "--listen: 'localhost' has no port; expected HOST:PORT or :PORT"),
        (
            ServeFlags(listen=("::1:53",)),
            "--listen: '::1:53' has too many colons; write an IPv6 address as [ADDRESS]:PORT",
        ),
        (
            ServeFlags(listen=(":65536",)),
            "--listen: ':65536' has no valid port; expected a number of 0 to 65535",
        ),
        (ServeFlags(listen=()), "--listen: expected an address to listen on"),
        (ServeFlags(context="kind"), "--context: expected --kubeconfig beside it"),
        (ServeFlags(manifests="a", kubeconfig="b"), "--manifests: cannot be used together with --kubeconfig"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_errors_name_the_option(flags: ServeFlags, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        to_blocks(flags)
    assert str(caught.value) == message
