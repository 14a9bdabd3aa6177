"""RFC 1982 section 5.2 and 7: the examples of the RFC."""

from __future__ import annotations

import pytest

from kdns.wire.serials import is_newer


@pytest.mark.parametrize(
    ("serial", "other", "newer"),
    [
        (1, 0, True),
        (0, 1, False),
        (5, 5, False),
        (44, 0, True),
        (100, 44, True),
        (200, 100, True),
        (0, 2**32 - 1, True),
        (2**31 - 1, 0, True),
        (2**31, 0, False),
        (0, 2**31, False),
        (0, 2**31 + 1, True),
    ],
)
def test_is_newer(serial: int, other: int, newer: bool) -> None:
    assert is_newer(serial, other) is newer
