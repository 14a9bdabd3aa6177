"""The Corefile that ``kdns laptop`` stands for."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from kdns.config.laptop import Cluster, LaptopFlags, Outside, served_zones, to_blocks
from kdns.config.printer import to_text
from kdns.config.tree import ConfigError, Option

DEV = Cluster("cluster.internal", (Option("kubeconfig", ("k", "dev")),))
PROD = Cluster("prod.cluster.internal", (Option("kubeconfig", ("k", "prod")),))
FLAGS = LaptopFlags((DEV,), ("127.0.0.1:1053",))

ALONE = """\
.:1053 {
    bind 127.0.0.1
    errors
    loadbalance
    chaos
    shortnames default
    kubernetes cluster.internal cluster.local in-addr.arpa ip6.arpa {
        pods insecure
        kubeconfig k dev
        fallthrough in-addr.arpa ip6.arpa
        fallthrough_unsynced
    }
    reload
}
"""
FURTHER = """\

prod.cluster.internal.:1053 {
    bind 127.0.0.1
    errors
    loadbalance
    kubernetes prod.cluster.internal cluster.local {
        pods insecure
        kubeconfig k prod
    }
}
"""
UPSTREAM = """\
    cache {
        denial 9984 30
        disable success cluster.local cluster.internal
        disable denial cluster.local cluster.internal
    }
    forward corp.test 10.1.1.1 {
        policy sequential
    }
    forward . 192.0.2.1 192.0.2.2 {
        policy sequential
    }
    loop
"""
BOTH_ZONES = "cluster.local cluster.internal"
RECURSION = """\
    header {
        response set ra
    }
    kubernetes"""
OUTSIDE = (Outside(("10.1.1.1",), "corp.test"), Outside(("192.0.2.1", "192.0.2.2")))
EXTERNAL = """\
    k8s_external svc.cluster.internal svc.cluster.local {
        nodeports
        external_names
    }
    kubernetes"""
BOTH = EXTERNAL.replace("svc.cluster.internal svc.cluster.local", "external.cluster.internal")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ALONE),
        ({"clusters": (DEV, PROD)}, ALONE + FURTHER),
        ({"outside": OUTSIDE}, ALONE.replace("    reload\n", f"{UPSTREAM}    reload\n")),
        (
            {"clusters": (DEV, PROD), "outside": OUTSIDE},
            ALONE.replace("    reload\n", f"{UPSTREAM}    reload\n").replace(
                BOTH_ZONES, f"{BOTH_ZONES} prod.cluster.internal"
            )
            + FURTHER.replace("    kubernetes", RECURSION),
        ),
        ({"answer": "external"}, ALONE.replace("    kubernetes", EXTERNAL)),
        ({"answer": "both"}, ALONE.replace("    kubernetes", BOTH)),
        ({"log": True}, ALONE.replace("    loadbalance", "    log\n    loadbalance")),
        ({"namespace": "shop"}, ALONE.replace("shortnames default", "shortnames shop")),
        (
            {"listen": ("127.0.0.1:53", "[::1]:53")},
            ALONE.replace(":1053", ":53").replace("127.0.0.1", "127.0.0.1 ::1"),
        ),
        ({"domain": "k8s.test"}, ALONE.replace("cluster.local", "k8s.test")),
        (
            {"clusters": (Cluster("cluster.local", DEV.access),)},
            ALONE.replace("cluster.internal cluster.local", "cluster.local"),
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_blocks(changes: dict[str, object], expected: str) -> None:
    assert to_text(to_blocks(replace(FLAGS, **changes))) == expected


def test_what_the_systems_resolver_is_told() -> None:
    flags = replace(FLAGS, clusters=(DEV, PROD), namespace="shop")
    assert served_zones(flags) == ("cluster.local", "cluster.internal", "prod.cluster.internal")


@pytest.mark.parametrize(
    ("clusters", "message"),
    [
        ((DEV, Cluster("Cluster.Internal.", ())), "--context: two clusters in the zone Cluster.Internal."),
        ((DEV, Cluster("cluster.local", ())), "--context: cluster.local is the first cluster's"),
        ((DEV, Cluster("a..b", ())), "--context: not a zone: 'a..b' has an empty label"),
    ],
    ids=["twice", "the clusters' own", "no zone"],
)  # fmt: skip
def test_zones_that_cannot_be(clusters: tuple[Cluster, ...], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        to_blocks(replace(FLAGS, clusters=clusters))
    assert str(error.value) == message
