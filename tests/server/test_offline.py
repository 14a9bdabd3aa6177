"""What commands say that ask an API server for the length of a question."""

from __future__ import annotations

import pytest

from kdns.server.offline import advice


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        (
            "pods: forbidden: cannot list pods at the cluster scope (RBAC: list, watch)",
            "compare: kubectl auth can-i list pods -A",
        ),
        (
            "endpointslices: forbidden: cannot watch endpointslices.discovery.k8s.io at the cluster",
            "compare: kubectl auth can-i watch endpointslices.discovery.k8s.io -A",
        ),
        (
            "services: cannot connect to 127.0.0.1:9: connection refused",
            "compare: kubectl get --raw /readyz",
        ),
    ],
)
def test_what_to_compare_with(problem: str, expected: str) -> None:
    assert advice(problem) == expected
