"""The clock by which cached answers expire, stopped."""

import pytest


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> float:
    """What it says where the cluster's negative answers are made."""
    monkeypatch.setattr("kdns.plugins.kubernetes.freshness.monotonic", lambda: 4000.0)
    return 4000.0
