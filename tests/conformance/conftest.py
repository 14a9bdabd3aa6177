"""The subject under test, started once for each case."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster import programs
from tests.cluster.conftest import provide
from tests.cluster.controlplane import ControlPlane
from tests.conformance import subjects
from tests.conformance.cases import Case
from tests.conformance.subjects import SUBJECT, Server


class Running:
    """A case, and the server that has its objects."""

    def __init__(self, case: Case, server: Server) -> None:
        self.case, self.server = case, server
        self.port = server.port


@pytest.fixture(scope="session")
def plane(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ControlPlane | None]:
    """A control plane for CoreDNS; kdns reads the objects from files."""
    if SUBJECT == "kdns":
        yield None
        return
    provide(request, *programs.CONTROL_PLANE, programs.COREDNS)
    plane = ControlPlane(tmp_path_factory.mktemp("control-plane"))
    try:
        plane.start()
        plane.snapshot("empty")
        yield plane
    finally:
        plane.stop()


class Stage:
    """Runs one case at a time: asking for the same again costs nothing."""

    def __init__(self, plane: ControlPlane | None, folders: pytest.TempPathFactory) -> None:
        self._plane, self._folders = plane, folders
        self._running: Running | None = None

    def serve(self, case: Case) -> Running:
        """The case being served, by a fresh server in a fresh cluster unless it is already."""
        if self._running is None or self._running.case is not case:
            self.clear()
            if self._plane is not None:
                self._plane.restore(self._plane.folder / "empty")
            server = subjects.start(case, self._folders.mktemp("case"), self._plane)
            self._running = Running(case, server)
        return self._running

    def clear(self) -> None:
        if self._running is not None:
            self._running.server.stop()
        self._running = None


@pytest.fixture(scope="session")
def stage(plane: ControlPlane | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = Stage(plane, tmp_path_factory)
    yield stage
    stage.clear()
