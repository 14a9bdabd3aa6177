# ruff: noqa: E501 (tables: one case, one line)
"""``resolv.conf`` as files and Pods have it."""

from __future__ import annotations

import pytest

from kdns.config.addresses import Address
from kdns.records.manifest_shapes import DnsConfig, DnsOption, PodSpec
from kdns.stub.pods import for_pod
from kdns.stub.resolver_config import ResolverConfig, in_namespace, parse

A, B, C = (Address(f"192.0.2.{n}", 53) for n in range(1, 4))
DNS = (Address("10.96.0.10", 53),)
SEARCH = ("shop.svc.c.test", "svc.c.test", "c.test")
NODE = ResolverConfig((A,), ("example.org",))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nameserver 192.0.2.1\nsearch shop.svc.c.test svc.c.test c.test\noptions ndots:5\n", ResolverConfig((A,), SEARCH, ndots=5)),
        ("".join(f"nameserver 192.0.2.{n}\n" for n in range(1, 5)), ResolverConfig((A, B, C))),
        ("# a\n;b\nnameserver fd00::a # here\n\nsearch a.test # b.test\n", ResolverConfig((Address("fd00::a", 53),), ("a.test",))),
        ("search a.test b.test\nsearch c.test\n", ResolverConfig(search=("c.test",))),
        ("domain a.test b.test\n", ResolverConfig(search=("a.test",))),
        ("search a.test. . b.test.\n", ResolverConfig(search=("a.test", "b.test"))),
        ("nameserver dns.example.org\nnameserver\nnameserver 192.0.2.1\n", ResolverConfig((A,))),
        ("options ndots:3 timeout:2 attempts:4 rotate edns0 what:ever ndots:x\n", ResolverConfig(ndots=3, timeout=2, attempts=4)),
        ("\0\nsearch\noptions\nnameserver  \nwhat is this\n", ResolverConfig()),
    ],
)  # fmt: skip
def test_files(text: str, expected: ResolverConfig) -> None:
    """What glibc, musl and Go make of such files is compared in ``test_beside``."""
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("ndots:99 timeout:0 attempts:99", ResolverConfig(ndots=15, timeout=1, attempts=5)),
        ("ndots:-1 timeout: attempts:1.5", ResolverConfig()),
        (
            "single-request-reopen use-vc no-aaaa",
            ResolverConfig(single_request=True, use_tcp=True, no_aaaa=True),
        ),
        ("ndots:" + "9" * 99, ResolverConfig(ndots=15)),
    ],
)
def test_options(options: str, expected: ResolverConfig) -> None:
    assert parse(f"options {options}") == expected


def test_in_a_namespace() -> None:
    assert in_namespace("shop", "c.test", DNS) == ResolverConfig(DNS, SEARCH, ndots=5)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (PodSpec(), in_namespace("shop", "c.test", DNS)),
        (PodSpec(host_network=True), NODE),
        (PodSpec(host_network=True, dns_policy="ClusterFirstWithHostNet"), in_namespace("shop", "c.test", DNS)),
        (PodSpec(dns_policy="Default"), NODE),
        (PodSpec(dns_policy="None", dns_config=DnsConfig(("192.0.2.2",), ("x.test.",))), ResolverConfig((B,), ("x.test",))),
        (PodSpec(dns_policy="None"), ResolverConfig()),
        (
            PodSpec(dns_config=DnsConfig(("192.0.2.2", "no address"), ("x.test", "c.test"), (DnsOption("ndots", "2"), DnsOption("use-vc")))),
            ResolverConfig((*DNS, B), (*SEARCH, "x.test"), ndots=2, use_tcp=True),
        ),
        (PodSpec(dns_config=DnsConfig(("192.0.2.2", "192.0.2.3", "192.0.2.4"))), ResolverConfig((*DNS, B, C), SEARCH, ndots=5)),
    ],
)  # fmt: skip
def test_of_a_pod(spec: PodSpec, expected: ResolverConfig) -> None:
    assert for_pod(spec, "shop", "c.test", DNS, lambda: NODE) == expected
