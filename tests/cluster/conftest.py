"""The control plane that all tests of a run share, and what it takes to have one."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import programs
from tests.cluster.controlplane import ControlPlane

# Generous: building the programs, which happens inside a fixture, does not count.
_SECONDS = 120
_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _HERE in item.path.parents and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(_SECONDS, func_only=True))


def provide(request: pytest.FixtureRequest, *names: str) -> None:
    """See to it that the programs are there: built where that is possible, else skip and say how."""
    absent = programs.missing(*names)
    if not absent:
        return
    if not programs.can_build():
        pytest.skip(programs.reason(*absent))
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        writer = request.config.get_terminal_writer()
        writer.line(f"\n{', '.join(absent)} not found: running {programs.BUILD} (minutes)")
        try:
            programs.build()
        except subprocess.CalledProcessError as error:
            pytest.fail(f"{error}", pytrace=False)


@pytest.fixture(scope="session")
def control_plane(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ControlPlane]:
    """A running control plane; tests work in namespaces of their own and leave it running."""
    provide(request, *programs.CONTROL_PLANE)
    plane = ControlPlane(tmp_path_factory.mktemp("control-plane"))
    try:
        plane.start()
        yield plane
    finally:
        plane.stop()
