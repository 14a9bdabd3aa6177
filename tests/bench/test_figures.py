"""From what dnsperf and the kernel say to a line of the table. The measuring itself is ``make bench``."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from bench import dnsperf, usage
from bench.report import Line, table
from bench.rounds import Bar, Measured, compared, take_turns
from bench.rows.flood import read_hits
from bench.rows.table import ROWS

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


def test_hits_in_a_page_of_metrics() -> None:
    page = "# TYPE kdns_packet_cache_hits_total counter\nkdns_packet_cache_hits_total 1.5e3\n"
    assert read_hits(page) == 1500


def test_cpu_time_counts_children() -> None:
    spin = "import time\nwhile time.process_time() < 0.1: pass\ninput()"
    command = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {spin!r}])"
    with subprocess.Popen([sys.executable, "-c", command], stdin=subprocess.PIPE) as parent:
        deadline = time.monotonic() + 60
        while len(usage.family(parent.pid)) < 2 or usage.cpu_seconds(parent.pid) < 0.1:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert usage.resident_bytes(parent.pid) > 4 * 1024 * 1024
        parent.communicate(b"\n")
    assert os.getpid() in usage.family(os.getpid())
