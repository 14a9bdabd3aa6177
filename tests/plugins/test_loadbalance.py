"""``loadbalance weighted`` and ``prefer``: orders, shares, files that change, and CoreDNS beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path

import dns.message
import dns.query
import pytest

from kdns.config.tree import ConfigError
from kdns.plugins.loadbalance import Settings
from kdns.plugins.weights import parse_weights
from kdns.wire.message import FOREVER, Answer
from tests.plugins.chains import Chain, refusal, settings
from tests.plugins.peers import Peers, check

HOSTS = "\n".join(
    f"{address} {name}.test"
    for name, addresses in {
        "www": ("192.0.2.1", "192.0.2.2", "192.0.2.3"),
        "even": ("192.0.2.1", "192.0.2.2"),
        "mixed": ("192.0.2.1", "10.0.0.1", "172.16.0.1"),
        "pairs": ("192.0.2.1", "10.0.0.1", "10.0.0.2", "192.0.2.2"),
        "one": ("192.0.2.1",),
    }.items()
    for address in addresses
)
WEIGHTS = """\
# of the shop
WWW.test
192.0.2.1 3
192.0.2.2   1

other.test.
192.0.2.9 255
"""


def chain(options: str) -> Chain:
    return Chain(f". {{\nloadbalance {options}\nhosts /dev/null {{\n{HOSTS}\n}}\n}}")


def order(answer: Answer) -> list[str]:
    return [".".join(map(str, record.rdata)) for record in answer.answer]


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "weights"
    path.write_text(WEIGHTS)
    return path


def test_words() -> None:
    networks = (ip_network("10.0.0.0/8"), ip_network("2001:db8::/32"))
    assert settings("loadbalance") == settings("loadbalance round_robin") == Settings()
    found = settings("loadbalance {\nprefer 10.1.2.3/8\nprefer 2001:db8::/32\n}")
    assert found == Settings(prefer=networks)
    assert settings("loadbalance weighted f") == Settings("f")
    assert settings("loadbalance weighted f {\nreload 5s\n}") == Settings("f", 5.0)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("loadbalance random", "2: loadbalance: unknown policy 'random'; expected round_robin or"),
        ("loadbalance weighted", "2: loadbalance: weighted takes exactly one file, got 0"),
        ("loadbalance weighted a b", "2: loadbalance: weighted takes exactly one file, got 2"),
        ("loadbalance round_robin a", "2: loadbalance: round_robin takes no argument, got 'a'"),
        ("loadbalance {\nreload 5s\n}", "3: reload: is for weighted alone"),
        ("loadbalance {\nprefer\n}", "3: prefer: takes at least one network"),
        ("loadbalance {\nprefer 10.0.0.1\n}", "3: prefer: takes networks such as 10.0.0.0/8"),
        ("loadbalance {\nprefer 10.0.0/8\n}", "3: prefer: '10.0.0/8' does not appear to be"),
        ("loadbalance {\nsticky\n}", "3: sticky: unknown option of loadbalance; known are reload"),
    ],
)
def test_refusals(text: str, reason: str) -> None:
    assert reason in refusal(text)


def test_who_is_first_by_weight(weights: Path) -> None:
    server = chain(f"weighted {weights}")
    answers = [server.ask("www.test. A") for _ in range(2000)]
    shares = Counter(order(answer)[0] for answer in answers)
    # 3 : 1 : 1, five standard deviations either way
    assert abs(shares["192.0.2.1"] - 1200) < 110
    assert abs(shares["192.0.2.2"] - 400) < 90
    assert {len(set(order(answer))) for answer in answers} == {3}
    assert {answer.keep_until for answer in answers} == {0.0}


def test_names_without_weights_are_kept(weights: Path) -> None:
    server = chain(f"weighted {weights}")
    for name in ("even.test. A", "one.test. A"):
        answer = server.ask(name)
        assert answer.keep_until == FOREVER
        assert ("file", str(weights)) in answer.keys
    first = {order(server.ask("even.test. A"))[0] for _ in range(100)}
    assert first == {"192.0.2.1", "192.0.2.2"}


def test_preferred_networks_come_first() -> None:
    server = chain("round_robin {\nprefer 172.16.0.0/12 10.0.0.0/8\n}")
    for _ in range(4):
        answer = server.ask("mixed.test. A")
        assert order(answer) == ["172.16.0.1", "10.0.0.1", "192.0.2.1"]
        assert (answer.keep_until, answer.ordered) == (FOREVER, True)
    answers = [server.ask("pairs.test. A") for _ in range(8)]
    assert {tuple(sorted(order(a)[:2])) for a in answers} == {("10.0.0.1", "10.0.0.2")}
    assert {order(a)[0] for a in answers} == {"10.0.0.1", "10.0.0.2"}
    assert {answer.keep_until for answer in answers} == {0.0}


def test_a_file_s_text() -> None:
    assert parse_weights("", "w") == {}
    weights = parse_weights(WEIGHTS, "w")
    assert weights[("www", "test")] == {bytes((192, 0, 2, 1)): 3, bytes((192, 0, 2, 2)): 1}
    assert parse_weights("a.test\n::1 255\n", "w") == {("a", "test"): {bytes(15) + b"\1": 255}}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("192.0.2.1 3", "w:1: expected a name before the first address"),
        ("a.test\nb c d\n", "w:2: expected a name, or an address and its weight"),
        ("a.test\n192.0.2.1", "w:2: expected a weight after 192.0.2.1"),
        ("a.test\n192.0.2.300 1", "w:2: '192.0.2.300' does not appear to be"),
        ("a.test\n192.0.2.1 256", "w:2: expected a weight of 1 to 255, got '256'"),
        ("a.test\n192.0.2.1 0", "w:2: expected a weight of 1 to 255, got '0'"),
        ("a..test", "w:1: not a name: "),
    ],
)
def test_files_that_cannot_be_used(text: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_weights(text, "w")
    assert reason in str(caught.value)


def test_a_broken_file_is_fatal_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_text("oops oops oops")
    with pytest.raises(ConfigError, match="weights:1: expected a name"):
        chain(f"weighted {path}")
    assert order(chain(f"weighted {tmp_path}/none").ask("one.test. A")) == ["192.0.2.1"]


@pytest.mark.parametrize(
    ("options", "name", "ordered", "cached"),
    [
        ("weighted FILE", "www", True, False),
        ("weighted FILE", "even", False, True),
        ("weighted FILE {\nprefer 10.0.0.0/8\n}", "www", True, False),
        ("{\nprefer 172.16.0.0/12 10.0.0.0/8\n}", "mixed", True, True),
        ("{\nprefer 10.0.0.0/8\n}", "pairs", True, False),
        ("", "www", False, True),
    ],
)
def test_an_order_that_was_chosen_is_not_rotated_in_the_reply(
    options: str, name: str, ordered: bool, cached: bool, weights: Path
) -> None:
    answer = chain(options.replace("FILE", str(weights))).ask(f"{name}.test. A")
    assert (answer.ordered, bool(answer.keep_until)) == (ordered, cached)


@pytest.fixture
def peers(tmp_path: Path, weights: Path) -> Iterator[Peers]:
    weights.write_text(WEIGHTS.lower())  # as the peer compares them
    hosts = f"hosts /dev/null {{\n{HOSTS}\n}}\n"
    text = (
        f"test {{\nloadbalance {{\nprefer 172.16.0.0/12 10.0.0.0/8\n}}\n{hosts}}}\n"
        f"www.test {{\nloadbalance weighted {weights}\n{hosts}}}\n. {{\nwhoami\n}}\n"
    )
    server = Peers(text, tmp_path)
    yield server
    server.stop()


def test_beside_coredns(peers: Peers) -> None:
    check(peers, ("mixed.test A", "pairs.test A", "www.test A", "one.test A"), {})
    for name, port in peers.ports.items():
        orders = [asked(port, "mixed.test.") for _ in range(5)]
        assert (name, orders) == (name, [["172.16.0.1", "10.0.0.1", "192.0.2.1"]] * 5)
        shares = Counter(asked(port, "www.test.")[0] for _ in range(300))
        assert shares.most_common(1)[0][0] == "192.0.2.1", name
        assert len(shares) == 3


def asked(port: int, name: str) -> list[str]:
    reply = dns.query.udp(dns.message.make_query(name, "A"), "127.0.0.1", 3, port)
    return [item.to_text() for item in reply.answer[0]]
