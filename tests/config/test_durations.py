from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdns.config.durations import MAX_SECONDS, format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5s", 5.0),
        ("0", 0.0),
        ("+1m", 60.0),
        ("-1.5s", -1.5),
        ("1h30m10s", 5410.0),
        (".5s", 0.5),
        ("5.s", 5.0),
        ("250ms", 0.25),
        ("7us", 7e-6),
        ("7µs", 7e-6),
        ("7μs", 7e-6),
        ("3ns", 3e-9),
        ("2562047h47m16.854775807s", 9223372036.854775807),
    ],
)
def test_go_durations_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds, rel=1e-15)


@pytest.mark.parametrize(
    "text",
    ["", "5", "s", ".", ".s", "5 s", "5d", "1m5", "--1s", "5s!", "\uff11s", "1e3s", "9" * 99 + "s"],
)
def test_what_go_refuses_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"duration"):
        parse_duration(text)


def test_the_message_says_what_was_expected() -> None:
    with pytest.raises(
        ValueError, match=r"^'5 s' is not a duration; write it as in 5s, 250ms, 1h30m$"
    ):
        parse_duration("5 s")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (2, "2s"),
        (60, "1m0s"),
        (3600, "1h0m0s"),
        (5410.5, "1h30m10.5s"),
        (0.25, "250ms"),
        (0.0000015, "1.5µs"),
        (3e-9, "3ns"),
        (-1.5, "-1.5s"),
        (100, "1m40s"),
    ],
)
def test_durations_are_written_as_go_writes_them(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.integers(min_value=-(10**15), max_value=10**15))
def test_what_is_written_reads_back(nanoseconds: int) -> None:
    seconds = nanoseconds / 10**9
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, abs=1e-9)


@given(st.text(max_size=80))
def test_any_text_is_a_duration_or_a_value_error(text: str) -> None:
    try:
        seconds = parse_duration(text)
    except ValueError:
        return
    assert abs(seconds) <= MAX_SECONDS
