"""From what dnsperf and the kernel say to a line of the table. The measuring itself is ``make bench``."""

from __future__ import annotations

import os
from typing import cast

import pytest

from bench import cost, dnsperf
from bench.__main__ import chosen
from bench.cost import Cost, Sides
from bench.load import LoadResult
from bench.report import Line, table
from bench.rounds import Bar, Measured, NotRunError, absolute, compared, take_turns
from bench.rows.flood import read_misses
from bench.rows.table import ROWS
from bench.servers import Server

SUMMARY = """\
  Queries sent:         1000
  Queries completed:    990 (99.00%)
  Queries lost:         10 (1.00%)

  Response codes:       NOERROR 900 (90.91%), NXDOMAIN 90 (9.09%)
  Average packet size:  request 45, response 61
  Run time (s):         2.500000
  Queries per second:   396.000000
"""


def test_what_dnsperf_says() -> None:
    found = dnsperf.parse(SUMMARY)
    assert (found.answered, found.lost, found.rate) == (990, 10, 396.0)
    assert found.rcodes == {"NOERROR": 900, "NXDOMAIN": 90}


@pytest.mark.parametrize("text", ["", SUMMARY.replace("990", "0")], ids=["nothing", "no answers"])
def test_no_answers_are_no_result(text: str) -> None:
    with pytest.raises(dnsperf.LoadError):
        dnsperf.parse(text)


@pytest.mark.parametrize(
    ("bar", "more_is_better", "ratio", "holds"),
    [
        (Bar(4), False, 5.0, True),
        (Bar(6), False, 5.0, False),
        (Bar(1.5, at_most=True), False, 0.2, True),
        (Bar(0.1, at_most=True), False, 0.2, False),
        (Bar(0.3), True, 0.2, False),
    ],
)
def test_ratios_point_where_the_bar_does(
    bar: Bar, more_is_better: bool, ratio: float, holds: bool
) -> None:
    found = compared("µs", [2.0, 2.0, 2.0], [10.0, 10.0, 10.0], bar, (), more_is_better)
    assert found.ratio == pytest.approx(ratio)
    assert bar.holds(found.ratio) is holds


def test_turns_alternate_and_the_first_does_not_count() -> None:
    order: list[str] = []

    def side(name: str) -> float:
        order.append(name)
        return len(order)

    ours, theirs = take_turns(lambda: side("a"), lambda: side("b"), 3)
    assert "".join(order) == "abbaabba"
    assert (ours, theirs) == ([4, 5, 8], [3, 6, 7])


def test_the_table_says_what_was_not_run_and_why() -> None:
    measured = Measured("µs", (7.0, 8.0, 9.0), (32.0,), (3.5, 4.5, 5.5))
    lines = (
        Line("hits", "A", "CoreDNS", Bar(4), measured),
        Line("tcp", "TCP", "CoreDNS", Bar(1), None, "dnsperf is not installed"),
    )
    text = table(lines)
    assert "4.50" in text
    assert "3.50-5.50" in text
    assert "holds" in text
    assert "- tcp: dnsperf is not installed" in text
    assert [line.missed for line in lines] == [False, False]


def test_rows_have_names_of_their_own() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)


def test_misses_in_a_page_of_metrics() -> None:
    page = "# TYPE kdns_reply_cache_misses_total counter\nkdns_reply_cache_misses_total 1.5e3\n"
    assert read_misses(page) == 1500


def test_a_fixed_bar_is_compared_with_the_figure_itself() -> None:
    found = absolute("MiB", [100.0, 200.0, 150.0], [1.0, 2.0, 3.0])
    assert found.ratio == 150
    assert "kdns's own figure" in found.notes[0]


def test_instructions_are_reported_beside_time() -> None:
    sides = Sides(lambda: Cost(5, 20_000), lambda: Cost(50, 300_000), "CoreDNS")
    found = cost.compare(sides, 3, Bar(4))
    assert found.ratio == 10
    assert found.notes == ("instructions per query: kdns 20,000, CoreDNS 300,000",)
    uncounted = Sides(lambda: Cost(5), lambda: Cost(50), "CoreDNS")
    assert cost.compare(uncounted, 3, Bar(4)).notes == ()


class _Server:
    """Spends a hundredth of a second of CPU in each load."""

    def __init__(self) -> None:
        self.process = self
        self.pid, self.name, self._spent = os.getpid(), "kdns", 0.0

    def cpu_seconds(self) -> float:
        self._spent += 0.01
        return self._spent


@pytest.mark.parametrize(
    ("answered", "lost", "rcodes", "problem"),
    [
        (1000, 0, {"NXDOMAIN": 1000}, ""),
        (1000, 0, {"SERVFAIL": 900, "NXDOMAIN": 100}, "answered"),
        (1000, 50, {"NXDOMAIN": 1000}, "lost 50 of 1050"),
        (0, 10, {}, "lost 10 of 10"),
    ],
)
def test_a_cost_is_of_right_answers(
    answered: int, lost: int, rcodes: dict[str, int], problem: str
) -> None:
    result = LoadResult(answered + lost, answered, lost, 1, 1, 1, 1, rcodes)
    server = cast("Server", _Server())
    if not problem:
        assert cost.measure(lambda: result, server, "NXDOMAIN").microseconds == pytest.approx(10)
        return
    with pytest.raises(NotRunError, match=problem):
        cost.measure(lambda: result, server, "NXDOMAIN")


def test_rows_are_chosen_by_pattern() -> None:
    assert [row.name for row in chosen(["first-100-a*", "hits"])] == [
        "hits",
        "first-100-a",
        "first-100-aaaa",
    ]
    assert len(chosen([])) == len(ROWS)
