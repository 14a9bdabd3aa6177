from __future__ import annotations

import pytest

from kdns.sources.backoff import ANSWERED, REFUSED, UNREACHABLE, Backoff, Policy


def least(low: float, _: float) -> float:
    return low


def most(_: float, high: float) -> float:
    return high


@pytest.mark.parametrize(
    ("policy", "pauses"),
    [
        (REFUSED, [0.05, 0.1, 0.2, 0.4, 0.5, 0.5]),
        (UNREACHABLE, [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]),
        (ANSWERED, [0.2, 0.3, 0.45, 0.675, 1.0125, 1.51875]),
    ],
    ids=["refused", "unreachable", "answered"],
)
def test_pauses_grow_to_the_cap(policy: Policy, pauses: list[float]) -> None:
    backoff = Backoff(most)
    assert [backoff.after(policy) for _ in pauses] == pytest.approx(pauses)


@pytest.mark.parametrize("policy", [REFUSED, UNREACHABLE], ids=["refused", "unreachable"])
def test_an_api_that_comes_back_is_asked_within_a_second_after_any_outage(policy: Policy) -> None:
    backoff = Backoff(most)
    assert max(backoff.after(policy) for _ in range(100_000)) <= 1.0


def test_jitter_halves_at_most() -> None:
    assert Backoff(least).after(UNREACHABLE) == pytest.approx(0.05)


def test_success_and_another_kind_of_failure_start_anew() -> None:
    backoff = Backoff(most)
    for _ in range(10):
        backoff.after(ANSWERED)
    assert backoff.after(REFUSED) == 0.05
    assert backoff.after(ANSWERED) == 0.2
    backoff.after(ANSWERED)
    backoff.reset()
    assert backoff.after(ANSWERED) == 0.2


def test_retry_after_is_heard_but_not_for_ever() -> None:
    assert Backoff(least).after(ANSWERED, at_least=7) == 7
    assert Backoff(least).after(ANSWERED, at_least=9e9) == 60
