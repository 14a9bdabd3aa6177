"""The API source against a real API server that is killed, stopped, compacted and put back.

Each test prints how long it took until the source was right again; "right" is judged by comparing the
names it knows with those that the API server lists.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from kdns.config.access import ApiAccess
from kdns.records.objects import Change, Endpoint, Gone, Kind, Put, Replaced, Service, Slice
from kdns.records.schema import Event
from kdns.sources import watch
from kdns.sources.apiserver import ApiServer
from kdns.sources.resources import watched
from kdns.status import SourceStatus
from tests.cluster import programs
from tests.cluster.conftest import provide
from tests.cluster.controlplane import ControlPlane
from tests.fakes import gate
from tests.waiting import until

Result = TypeVar("Result")

NAMESPACE = "watched"
WITHIN = 10.0
"""Seconds after the API's return in which everything must be right."""


class Following:
    """A source and the Services and slices that its changes amount to."""

    def __init__(self, kubeconfig: Path) -> None:
        self.status = SourceStatus("test")
        self.services: dict[tuple[str, str], Service] = {}
        self.slices: dict[tuple[str, str], Slice] = {}
        self.vanished: set[str] = set()
        access = ApiAccess(kubeconfig=str(kubeconfig), pods=True)
        self.source = ApiServer(access, self.status, self._apply)

    def _apply(self, change: Change) -> None:
        before = {name for _, name in self.services}
        match change:
            case Replaced(Kind.SERVICE, objects):
                self.services = {
                    (o.namespace, o.name): o for o in objects if isinstance(o, Service)
                }
            case Replaced(Kind.SLICE, objects):
                self.slices = {(o.namespace, o.name): o for o in objects if isinstance(o, Slice)}
            case Put(Service() as service):
                self.services[service.namespace, service.name] = service
            case Put(Slice() as found):
                self.slices[found.namespace, found.name] = found
            case Gone(Kind.SERVICE, namespace, name):
                self.services.pop((namespace, name), None)
            case Gone(Kind.SLICE, namespace, name):
                self.slices.pop((namespace, name), None)
            case _:
                pass
        self.vanished |= before - {name for _, name in self.services}

    @property
    def names(self) -> set[str]:
        return {name for namespace, name in self.services if namespace == NAMESPACE}

    def endpoints(self, service: str) -> set[Endpoint]:
        return {
            e for each in self.slices.values() if each.service == service for e in each.endpoints
        }

    @property
    def calm(self) -> bool:
        return self.status.synced and not self.status.problem and not self.status.age(1e12)


@pytest.fixture(scope="module")
def plane(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ControlPlane]:
    """A control plane of its own, because these tests break it."""
    provide(request, *programs.CONTROL_PLANE)
    plane = ControlPlane(tmp_path_factory.mktemp("broken-plane"))
    try:
        plane.start()
        plane.api.ensure_namespace(NAMESPACE)
        yield plane
    finally:
        plane.stop()


@asynccontextmanager
async def follow(kubeconfig: Path) -> AsyncIterator[Following]:
    following = Following(kubeconfig)
    await following.source.open()
    task = asyncio.create_task(following.source.run())
    try:
        yield following
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture(autouse=True)
def clean(plane: ControlPlane) -> None:
    for each in plane.api.list("Service", NAMESPACE):
        plane.api.delete("Service", NAMESPACE, each["metadata"]["name"])


@pytest.fixture
async def source(plane: ControlPlane) -> AsyncIterator[Following]:
    async with follow(plane.kubeconfig.reader) as following:
        await until(lambda: following.calm)
        yield following


def report(text: str) -> None:
    """Say what was measured; pytest shows it with ``-s`` or ``-rP``."""
    sys.stdout.write(f"\n{text}\n")


async def elsewhere(plane: ControlPlane, work: Callable[[], Result]) -> Result:
    """Do blocking work in a thread, whose connection to the API ends with it."""

    def run() -> Result:
        try:
            return work()
        finally:
            plane.api.close()

    return await asyncio.to_thread(run)


def create(plane: ControlPlane, name: str, **spec: object) -> None:
    plane.api.create(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {"ports": [{"port": 80}], **spec},
        }
    )


async def test_changes_arrive(plane: ControlPlane, source: Following) -> None:
    create(plane, "web")
    seen = await until(lambda: "web" in source.names)
    report(f"created Service seen {seen * 1000:.0f} ms after the API's answer")
    spec = {"type": "ExternalName", "externalName": "a.test", "clusterIP": "", "clusterIPs": None}
    plane.api.patch("Service", NAMESPACE, "web", {"spec": spec})
    await until(lambda: source.services[NAMESPACE, "web"].external_name == "a.test")
    plane.api.delete("Service", NAMESPACE, "web")
    await until(lambda: "web" not in source.names)


async def test_lists_come_as_streams(plane: ControlPlane, caplog: pytest.LogCaptureFixture) -> None:
    create(plane, "kept")
    caplog.set_level(logging.DEBUG)
    async with follow(plane.kubeconfig.reader) as source:
        await until(lambda: source.calm)
        assert source.names == {"kept"}
    for name in source.status.resources:
        assert f"{name}: the list came as a stream" in caplog.text
    assert "in pages" not in caplog.text


async def test_readiness_arrives(plane: ControlPlane, source: Following) -> None:
    create(plane, "db", clusterIP="None", selector={"app": "db"})
    plane.api.create(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "db-0", "namespace": NAMESPACE, "labels": {"app": "db"}},
            "spec": {"containers": [{"name": "c", "image": "none.test/c"}]},
            "status": {
                "phase": "Running",
                "podIP": "10.1.0.1",
                "podIPs": [{"ip": "10.1.0.1"}],
                "conditions": [{"type": "Ready", "status": "True"}],
            },
        }
    )
    expected = Endpoint(("10.1.0.1",), pod="db-0")
    await until(lambda: source.endpoints("db") == {expected})
    plane.api.patch_status(
        "Pod", NAMESPACE, "db-0", {"conditions": [{"type": "Ready", "status": "False"}]}
    )
    await until(lambda: source.endpoints("db") == {Endpoint(("10.1.0.1",), False, pod="db-0")})
    plane.api.delete("Pod", NAMESPACE, "db-0")
    await until(lambda: not source.endpoints("db"))


async def test_killed_and_back(plane: ControlPlane, source: Following) -> None:
    create(plane, "kept")
    await until(lambda: "kept" in source.names)
    plane.kill_apiserver()
    lost = await until(lambda: all(r.lost_at for r in source.status.resources.values()))
    assert source.names == {"kept"}
    await elsewhere(plane, plane.start_apiserver)
    create(plane, "after")
    back = await until(lambda: source.names == {"kept", "after"} and source.calm)
    report(f"killed: noticed after {lost:.2f} s; right {back:.2f} s after it was ready")
    assert back < WITHIN
    assert not source.vanished


async def test_compacted_while_cut_off(plane: ControlPlane, tmp_path: Path) -> None:
    """What was deleted meanwhile goes, though its event is gone from the history."""
    create(plane, "kept")
    create(plane, "deleted")
    async with gate.opened(plane.port) as way:
        through = tmp_path / "kubeconfig"
        text = plane.kubeconfig.reader.read_text()
        through.write_text(text.replace(f":{plane.port}", f":{way.port}"))
        async with follow(through) as source:
            await until(lambda: {"kept", "deleted"} <= source.names and source.calm)
            await way.shut()
            await until(lambda: all(r.lost_at for r in source.status.resources.values()))
            plane.api.delete("Service", NAMESPACE, "deleted")
            plane.compact_etcd()
            create(plane, "after")
            await way.open()
            back = await until(lambda: "after" in source.names and source.calm)
            assert "deleted" not in source.names
            assert source.vanished == {"deleted"}
    report(f"compacted: right {back:.2f} s after the connection was possible again")
    assert back < WITHIN


async def test_a_version_that_is_compacted_is_answered_with_gone(
    plane: ControlPlane, source: Following
) -> None:
    """That the real server says it in a way that is understood."""
    await until(lambda: source.calm)
    plane.compact_etcd()
    transport = source.source._connection
    resource = watched(ApiAccess())[0]
    codes: list[int] = []

    def take(event: Event) -> bool:
        codes.append(event.status_code)
        return True

    try:
        watching = watch.Watching(5, take)
        async for _ in watch.stream(transport, resource, "1", watching, watch.Limits()):
            pass
    except watch.RequestError as error:
        codes.append(error.status)
    assert codes == [watch.GONE]


async def test_broken_connections_resume_without_a_list(
    plane: ControlPlane, tmp_path: Path
) -> None:
    async with gate.opened(plane.port) as way:
        through = tmp_path / "kubeconfig"
        text = plane.kubeconfig.reader.read_text()
        through.write_text(text.replace(f":{plane.port}", f":{way.port}"))
        async with follow(through) as source:
            await until(lambda: source.calm)
            watches = source.status.resources.values()
            for number in range(3):
                way.cut()
                create(plane, f"resumed{number}")
                await until(lambda n=number: f"resumed{n}" in source.names)  # type: ignore[misc]
                # One that is cut off while it still connects has not been there, and lists.
                await until(lambda n=number: all(each.restarts > n for each in watches))  # type: ignore[misc]
            assert not any(each.relists for each in watches)


async def test_an_older_state_put_back(plane: ControlPlane, source: Following) -> None:
    """Revisions go backwards, and by the time the API answers they may have passed ours again."""
    create(plane, "old")
    await until(lambda: "old" in source.names)
    snapshot = await elsewhere(plane, plane.snapshot)
    create(plane, "lost")
    await until(lambda: source.names == {"old", "lost"})
    before = plane.revision()
    away = await elsewhere(plane, lambda: plane.restore(snapshot))
    after = plane.revision()
    create(plane, "new")
    back = await until(lambda: source.names == {"old", "new"} and source.calm)
    report(
        f"older state (revision {before} -> {after}): away {away:.1f} s, right {back:.2f} s later"
    )
    assert back < WITHIN
    assert source.vanished == {"lost"}


async def test_missing_rights_are_named(plane: ControlPlane) -> None:
    async with follow(plane.kubeconfig.restricted) as following:
        slices = following.status.resources["endpointslices"]
        await until(lambda: slices.problem and following.status.resources["services"].synced)
        assert slices.problem == (
            "forbidden: cannot list endpointslices.discovery.k8s.io at the cluster scope"
            " (RBAC: list, watch)"
        )
        create(plane, "beside")
        await until(lambda: "beside" in following.names)
