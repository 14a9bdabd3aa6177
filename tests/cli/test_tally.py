"""What ``kdns top`` makes of exchanges, and that it forgets."""

from __future__ import annotations

import pytest

from kdns.cli import tally
from kdns.cli.tally import Tally, is_longer
from kdns.cli.top import table
from kdns.cli.watching import Exchange


def exchange(
    name: str, rcode: str = "NOERROR", *, at: float = 0.0, port: int = 5, message_id: int = 1
) -> Exchange:
    data = ("10.0.0.1",) if rcode == "NOERROR" else ()
    return Exchange(
        *(at, "10.1.1.1", port, "shop/web-0", "udp", message_id, name, "A", rcode),
        *(data, "", 0.001, False),
    )


def filled(*exchanges: Exchange) -> Tally:
    counted = Tally()
    for each in exchanges:
        counted.add(each)
    return counted


@pytest.mark.parametrize(
    ("tried", "found", "answer"),
    [
        ("web.shop.default.svc.cluster.local", "web.shop.svc.cluster.local", True),
        ("example.org.default.svc.cluster.local", "example.org", True),
        ("example.org.svc.cluster.local", "example.org", True),
        ("web.shop.default.svc.cluster.local", "web.shop.cluster.local", True),
        ("web.shop.svc.cluster.local", "web.shop.cluster.local", True),
        ("web.shop.default.svc.cluster.local", "web.default.svc.cluster.local", False),
        ("web.default.svc.cluster.local", "other.default.svc.cluster.local", False),
        ("web.shop.svc.cluster.local", "web.shop.svc.cluster.local", False),
        ("example.org", "example.org.svc.cluster.local", False),
        ("a.svc.cluster.local", "b.cluster.local", False),
    ],
)
def test_names_of_a_search_list(tried: str, found: str, answer: bool) -> None:
    assert is_longer(tried.split("."), found.split(".")) is answer


def test_wasted_questions() -> None:
    walk = ["a.example.default.svc.d.", "a.example.svc.d.", "a.example.d."]
    counted = filled(*(exchange(name, "NXDOMAIN") for name in walk), exchange("a.example."))
    assert counted.wasted_count == 3
    assert counted.wasted.most(5) == [("a.example.", 3)]
    counted.add(exchange("a.example."))
    assert counted.wasted_count == 3


def test_names_that_were_tried_long_ago_are_another_matter() -> None:
    tried = exchange("a.example.d.", "NXDOMAIN", at=0)
    assert filled(tried, exchange("a.example.", at=10)).wasted_count == 0


def test_retries() -> None:
    counted = filled(
        exchange("web.", at=0), exchange("web.", at=5.002), exchange("web.", at=5.1, message_id=2)
    )
    text = "web. A by shop/web-0 after 5 s (the client's time limit)"
    assert counted.retried.most(5) == [(text, 1)]


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tally, "MAX_COUNTED", 100)
    monkeypatch.setattr(tally, "MAX_REMEMBERED", 100)
    counted = Tally()
    for number in range(1000):
        counted.add(exchange("often."))
        counted.add(exchange(f"n{number}.", "NXDOMAIN", message_id=number))
    assert len(counted.names._counts) <= 101
    assert len(counted._asked._values) <= 100
    assert counted.names.most(1) == [("often. A", 1000)]


def test_table() -> None:
    counted = filled(exchange("web."), exchange("nosuch.", "NXDOMAIN"), exchange("gone.", "-"))
    counted.missed = 4
    lines = list(table(counted, 3.0, 1))
    assert lines[0] == (
        "3 questions in 3 s (1/s), 0 % of the replies were kept; 4 more were too many to tell"
    )
    assert lines[1] == "NOERROR 1, NXDOMAIN 1, no reply 1"
    assert lines[lines.index("NXDOMAIN") + 1] == "       1  nosuch. A"
