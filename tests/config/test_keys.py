# ruff: noqa: E501 (tables: one case, one line)
from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdns.config.corefile import parse
from kdns.config.keys import expand_zone, parse_key
from kdns.config.tree import ConfigError, Key, Location
from kdns.wire import names


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (".", Key((), 53)),
        ("Example.ORG", Key(("example", "org"), 53)),
        ("example.org.:1053", Key(("example", "org"), 1053)),
        ("dns://.:0", Key((), 0)),
        ("tls://.", Key((), 853, "tls")),
        ("tls://example.org:8853", Key(("example", "org"), 8853, "tls")),
        ("10.0.0.0/8:1053", Key(("10", "in-addr", "arpa"), 1053)),
        ("0/25.2.0.192.in-addr.arpa", Key(("0/25", "2", "0", "192", "in-addr", "arpa"), 53)),
        (r"a\.b.test", Key(("a.b", "test"), 53)),
    ],
)
def test_key(text: str, key: Key) -> None:
    assert parse_key(text) == (key,)


def test_default_port_is_for_dns_alone() -> None:
    assert [parse_key(text, 1053)[0].port for text in (".", "dns://a", "tls://a")] == [
        1053,
        1053,
        853,
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("https://.", "'https://.': https:// is not supported; use dns:// or tls://"),
        ("grpc://a:443", "'grpc://a:443': grpc:// is not supported; use dns:// or tls://"),
        ("quic://.", "'quic://.': quic:// is not supported; use dns:// or tls://"),
        ("dsn://.", "'dsn://.': expected dns:// or tls://, found dsn://"),
        (".:", "'.:': expected a port number after ':'"),
        (".:65536", "'.:65536': expected a port of 0 to 65535"),
        (":53", "':53': expected a zone before the port; the root is '.'"),
        ("a.test:dns", "'a.test:dns' is not a zone: expected a port number after ':'"),
        ("a.test,b.test", "'a.test,b.test' is not a zone: commas must be followed by white space"),
        ("a b", "'a b' is not a zone: it has white space in it; the value of a variable is one word"),
        ("a.test{", "'a.test{' is not a zone: white space is missing before '{'"),
        ("@", "'@' is not a zone: expected a domain name or a network"),
        ("dns://", "'' is not a zone: it is empty"),
        ("a..test", "not a zone: 'a..test' has an empty label"),
        ("10.0.0.0/33", "'10.0.0.0/33' is not a network: '10.0.0.0/33' does not appear to be an IPv4 or IPv6 network"),
        ("10.0.0.0/255.0.0.0", "'10.0.0.0/255.0.0.0' is not a network, expected one like 10.0.0.0/8"),
        ("::/0", "'::/0' is not a network, expected one like 10.0.0.0/8"),
    ],
)  # fmt: skip
def test_bad_key(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_key(text, location=Location("C", 7))
    assert str(caught.value) == f"C:7: {message}"


@pytest.mark.parametrize(
    ("text", "zones"),
    [
        ("cluster.local", ["cluster.local."]),
        ("10.0.0.0/8", ["10.in-addr.arpa."]),
        ("10.1.2.3/8", ["10.in-addr.arpa."]),
        ("0.0.0.0/0", ["in-addr.arpa."]),
        ("192.0.2.7/32", ["7.2.0.192.in-addr.arpa."]),
        ("10.4.0.0/15", ["4.10.in-addr.arpa.", "5.10.in-addr.arpa."]),
        ("fd00::/48", ["0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa."]),
        ("2001:db8::/31", ["8.b.d.0.1.0.0.2.ip6.arpa.", "9.b.d.0.1.0.0.2.ip6.arpa."]),
    ],
)
def test_expand_zone(text: str, zones: list[str]) -> None:
    assert [names.to_text(name) for name in expand_zone(text)] == zones


def network_of(name: names.Name) -> IPv4Network | IPv6Network:
    """The network whose reverse zone this is, found by filling up with zeros."""
    labels = list(reversed(name[:-2]))
    if name[-2:] == names.IN_ADDR:
        octets = labels + ["0"] * (4 - len(labels))
        return ip_network(f"{'.'.join(octets)}/{8 * len(labels)}")
    digits = "".join(labels).ljust(32, "0")
    groups = ":".join(digits[at : at + 4] for at in range(0, 32, 4))
    return ip_network(f"{groups}/{4 * len(labels)}")


@given(
    st.one_of(
        st.builds(lambda a, n: IPv4Network((a, n), strict=False), st.ip_addresses(v=4), st.integers(0, 32)),
        st.builds(lambda a, n: IPv6Network((a, n), strict=False), st.ip_addresses(v=6), st.integers(5, 128)),
    )
)  # fmt: skip
def test_expansion_covers_the_network_and_no_more(network: IPv4Network | IPv6Network) -> None:
    text = str(network)
    if text[0] == ":":
        return  # CoreDNS refuses these
    parts = [network_of(zone) for zone in expand_zone(text)]
    assert len(parts) == len(set(parts)) <= 128
    if isinstance(network, IPv4Network):
        collapsed = list(collapse_addresses(p for p in parts if isinstance(p, IPv4Network)))
        assert collapsed == [network]
    else:
        assert list(collapse_addresses(p for p in parts if isinstance(p, IPv6Network))) == [network]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a:1 a:2 tls://a:1 {\n}", id="other port or scheme"),
        pytest.param("a {\nbind 127.0.0.1\n}\na {\nbind 127.0.0.2 ::1\n}", id="other addresses"),
        pytest.param("a {\nbind lo 10.0.0.1 {\nexcept 10.0.0.1\n}\n}\na {\nbind 10.0.0.1\n}", id="except"),
    ],
)  # fmt: skip
def test_zones_served_side_by_side(text: str) -> None:
    assert parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a b A. {\n}", "1: a.:53 is already served by the block at Corefile:1"),
        ("a {\n}\nb, a {\n}", "3: a.:53 is already served by the block at Corefile:1"),
        ("tls://a {\n}\ntls://a {\n}", "3: tls://a.:853 is already served by the block at Corefile:1"),
        ("10.0.0.0/23 {\n}\n1.0.10.in-addr.arpa {\n}", "3: 1.0.10.in-addr.arpa.:53 is already served by the block at Corefile:1"),
        ("a {\nbind ::1\n}\na {\nbind lo ::1\n}", "4: a.:53 on ::1 is already served by the block at Corefile:1"),
        ("a {\nbind ::1\n}\na {\n}", "4: a.:53 is already served by the block at Corefile:1"),
        ("a {\n}\na {\nbind ::1\n}", "3: a.:53 on ::1 is already served by the block at Corefile:1"),
    ],
)  # fmt: skip
def test_zones_served_twice(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert str(caught.value) == f"Corefile:{message}"
