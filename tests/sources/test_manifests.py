"""The manifest source: what it emits at the start and after every kind of change to the files."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdns.config.access import ManifestAccess
from kdns.records.objects import (
    Change,
    Gone,
    Import,
    Kind,
    Namespace,
    Node,
    Object,
    Put,
    Replaced,
    Service,
    Slice,
)
from kdns.sources.documents import ManifestError
from kdns.sources.manifest_files import ManifestFiles
from kdns.sources.manifests import Manifests
from kdns.status import SourceStatus
from tests.waiting import until

EXAMPLES = Path(__file__).parents[2] / "examples" / "cluster"
SECONDS = 30.0


class Kept:
    """Applies changes as an index would, and counts them."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.objects: dict[tuple[Kind, str, str], Object] = {}

    def emit(self, change: Change) -> None:
        self.changes.append(change)
        match change:
            case Replaced(kind, objects):
                for key in [key for key in self.objects if key[0] is kind]:
                    del self.objects[key]
                self.objects |= {_key(each): each for each in objects}
            case Put(each):
                self.objects[_key(each)] = each
            case Gone(kind, namespace, name):
                del self.objects[kind, namespace, name]

    @property
    def services(self) -> list[str]:
        return sorted(
            f"{each.namespace}/{each.name}"
            for each in self.objects.values()
            if isinstance(each, Service)
        )


def _key(each: Object) -> tuple[Kind, str, str]:
    if isinstance(each, Namespace):
        return Kind.NAMESPACE, "", each.name
    if isinstance(each, Node):
        return Kind.NODE, "", each.name
    if isinstance(each, Import):
        return Kind.IMPORT, each.namespace, each.name
    kind = (
        Kind.SERVICE
        if isinstance(each, Service)
        else Kind.SLICE
        if isinstance(each, Slice)
        else Kind.POD
    )
    return kind, each.namespace, each.name


def service(name: str, port: int = 80, namespace: str = "default") -> str:
    return (
        f"apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: {namespace}}}\n"
        f"spec: {{clusterIP: 10.0.0.{port}, ports: [{{port: {port}}}]}}\n---\n"
    )


def manifests(path: Path, kept: Kept, pods: bool = False) -> tuple[Manifests, SourceStatus]:
    status = SourceStatus(f"manifests {path}")
    return Manifests(ManifestAccess(str(path), pods=pods), status, kept.emit), status


def loaded(path: Path) -> Kept:
    kept = Kept()
    manifests(path, kept, pods=True)[0].load()
    return kept


@asynccontextmanager
async def running(path: Path, pods: bool = False) -> AsyncIterator[tuple[Kept, SourceStatus]]:
    kept = Kept()
    source, status = manifests(path, kept, pods)
    source.load()
    kept.changes.clear()
    task = asyncio.create_task(source.run())
    try:
        yield kept, status
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """An edit that comes before the watch stands is seen at the first look without a notification."""
    monkeypatch.setattr("kdns.sources.noticing.RESCAN", 0.1)


def test_nodes_are_there_where_they_are_wanted(tmp_path: Path) -> None:
    (tmp_path / "node.yaml").write_text(
        "apiVersion: v1\nkind: Node\nmetadata: {name: a, labels: {app: x}}\n"
        "status: {addresses: [{type: InternalIP, address: 192.0.2.1}]}\n"
    )
    for nodes in (False, True):
        kept = Kept()
        access = ManifestAccess(str(tmp_path), labels="app=other", nodes=nodes)
        Manifests(access, SourceStatus("test"), kept.emit).load()
        found = [each for each in kept.objects.values() if isinstance(each, Node)]
        assert found == ([Node("a", ("192.0.2.1",))] if nodes else [])


def test_emits_everything_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "a.yaml").write_text(service("a") + service("b", namespace="n"))
    (tmp_path / "below" / "c.yml").write_text(service("c"))
    (tmp_path / "kustomization.yaml").write_text("resources: [a.yaml]\n")
    (tmp_path / "readme.md").write_text("- not: [yaml\n")
    (tmp_path / ".hidden.yaml").write_text("- not: [yaml\n")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "x.yaml").write_text("- not: [yaml\n")
    kept = Kept()
    source, status = manifests(tmp_path, kept)
    before = status.synced
    source.load()
    assert [each.kind for each in kept.changes if isinstance(each, Replaced)] == [
        Kind.SERVICE,
        Kind.SLICE,
        Kind.NAMESPACE,
    ]
    assert kept.services == ["default/a", "default/c", "n/b"]
    assert (before, status.synced, status.problem) == (False, True, "")
    assert sorted(status.resources) == ["endpointslices", "namespaces", "services"]


def test_reads_a_mounted_config_map_once(tmp_path: Path) -> None:
    """Its files are symbolic links through ``..data`` to a folder that is swapped as a whole."""
    (tmp_path / "..2024").mkdir()
    (tmp_path / "..2024" / "a.yaml").write_text(service("a"))
    (tmp_path / "..data").symlink_to("..2024")
    (tmp_path / "a.yaml").symlink_to("..data/a.yaml")
    assert loaded(tmp_path).services == ["default/a"]


def test_a_folder_without_manifests_is_warned_about(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.txt").write_text(service("a"))
    loaded(tmp_path)
    expected = f"manifests {tmp_path}: nothing in it that names are made from"
    assert caplog.messages[0] == expected


def test_refuses_to_start_with_a_broken_file(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(service("a"))
    (tmp_path / "b.yaml").write_text("kind: [\n")
    with pytest.raises(
        ManifestError, match=rf"^{tmp_path}/b\.yaml:2: did not find expected node content"
    ):
        loaded(tmp_path)
    with pytest.raises(ManifestError, match=r"^manifests .*/gone: No such file or directory$"):
        loaded(tmp_path / "gone")


@pytest.mark.parametrize(("first", "second"), [("a.yaml", "b.yaml"), ("a.yaml", "a.yaml")])
def test_names_both_places_of_an_object_declared_twice(
    tmp_path: Path, first: str, second: str
) -> None:
    for name in (first, second):
        with (tmp_path / name).open("a") as file:
            file.write(service("web"))
    line = 6 if first == second else 1
    with pytest.raises(ManifestError) as caught:
        loaded(tmp_path)
    assert (
        str(caught.value)
        == f"{tmp_path / second}:{line}: Service default/web is declared twice, also at {tmp_path / first}:1"
    )


def replace(path: Path, text: str) -> None:
    """As editors and ``kubectl`` do: a new file takes the place of the old."""
    path.with_suffix(".new").write_text(text)
    path.with_suffix(".new").replace(path)


def overwrite(path: Path, text: str) -> None:
    path.write_text(text)


WRITERS = [pytest.param(replace, id="rename"), pytest.param(overwrite, id="in place")]


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("single", [False, True], ids=["folder", "file"])
async def test_follows_edits(
    tmp_path: Path, write: Callable[[Path, str], None], single: bool
) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(service("a", 1) + service("b", 2))
    async with running(file if single else tmp_path) as (kept, _):
        write(file, service("a", 1) + service("b", 3))
        await until(lambda: bool(kept.changes))
        assert [type(each) for each in kept.changes] == [Put]
        write(file, service("b", 3))
        await until(lambda: kept.services == ["default/b"])
        assert kept.changes[1:] == [Gone(Kind.SERVICE, "default", "a")]


@pytest.mark.parametrize("single", [False, True], ids=["folder", "file"])
async def test_is_notified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, single: bool) -> None:
    monkeypatch.setattr("kdns.sources.noticing.RESCAN", 60.0)
    file = tmp_path / "a.yaml"
    file.write_text(service("a"))
    async with running(file if single else tmp_path) as (kept, _):
        port = 0
        while not kept.changes:  # the first edits may come before the watch stands
            port = port % 200 + 1
            replace(file, service("a", port))
            await asyncio.sleep(0.2)


async def test_follows_files_that_come_move_and_go(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(service("a"))
    async with running(tmp_path) as (kept, _):
        (tmp_path / "new").mkdir()
        (tmp_path / "new" / "b.yaml").write_text(service("b", namespace="n"))
        await until(lambda: kept.services == ["default/a", "n/b"])
        assert (Kind.NAMESPACE, "", "n") in kept.objects
        kept.changes.clear()
        (tmp_path / "a.yaml").rename(tmp_path / "new" / "a.yaml")
        (tmp_path / "new" / "b.yaml").unlink()
        await until(lambda: kept.services == ["default/a"])
        # What only moved is left alone.
        assert [each for each in kept.changes if isinstance(each, Put)] == []


async def test_keeps_the_last_good_content_of_a_broken_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "kdns")
    file = tmp_path / "a.yaml"
    file.write_text(service("a"))
    async with running(tmp_path) as (kept, status):
        replace(file, "kind: [\n")
        await until(lambda: status.problem != "")
        assert status.problem.startswith(f"services: {file}:2: did not find expected node content")
        (tmp_path / "b.yaml").write_text(service("b", 2))
        await until(lambda: kept.services == ["default/a", "default/b"])
        failures = [each for each in caplog.records if each.levelno == logging.ERROR]
        assert [each.getMessage() for each in failures] == [
            (
                f"{file}:2: did not find expected node content (while parsing a flow node);"
                " what was there before stays"
            )
        ]
        replace(file, service("c", 3))
        await until(lambda: kept.services == ["default/b", "default/c"])
        assert status.problem == ""
        assert f"{file}: in order again" in caplog.messages


async def test_a_broken_file_that_is_deleted_is_not_called_in_order(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    file = tmp_path / "a.yaml"
    (tmp_path / "b.yaml").write_text(service("b", 2))
    file.write_text(service("a"))
    async with running(tmp_path) as (kept, status):
        replace(file, "kind: [\n")
        await until(lambda: status.problem != "")
        file.unlink()
        await until(lambda: kept.services == ["default/b"])
        await until(lambda: status.problem == "")
        assert "in order again" not in caplog.text


async def test_a_path_that_is_away_for_a_moment_loses_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "manifests"
    folder.mkdir()
    (folder / "a.yaml").write_text(service("a"))
    async with running(folder) as (kept, status):
        folder.rename(tmp_path / "aside")
        await until(lambda: status.problem != "")
        assert status.problem == f"services: manifests {folder}: No such file or directory"
        assert kept.services == ["default/a"]
        folder.mkdir()
        (folder / "b.yaml").write_text(service("b"))
        await until(lambda: kept.services == ["default/b"])
        assert status.problem == ""
        replace(folder / "b.yaml", service("c"))
        await until(lambda: kept.services == ["default/c"])


async def test_looks_now_and_then_when_it_cannot_watch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise ExceptionGroup("watch", [OSError("no inotify watches left")])

    monkeypatch.setattr("kdns.sources.noticing.awatch", refused)
    monkeypatch.setattr("kdns.sources.manifests.RETRY", 0.05)
    (tmp_path / "a.yaml").write_text(service("a"))
    async with running(tmp_path) as (kept, _):
        for name in ("b", "c"):
            replace(tmp_path / "a.yaml", service(name))
            await until(lambda name=name: kept.services == [f"default/{name}"])  # type: ignore[misc]
    assert len([each for each in caplog.messages if "cannot be watched" in each]) == 1


async def test_an_edit_elsewhere_touches_nothing(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES, tmp_path / "cluster")
    async with running(tmp_path / "cluster", pods=True) as (kept, _):
        before = dict(kept.objects)
        replace(tmp_path / "cluster" / "new.yaml", service("new", namespace="fresh"))
        await until(lambda: "fresh/new" in kept.services)
        assert len(kept.changes) == 2
        assert before.items() <= kept.objects.items()


def test_an_object_moves_between_files_in_two_steps(tmp_path: Path) -> None:
    """Meanwhile it is declared twice: the file that changed is at fault, until the other follows."""
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    for source, target in ((first, second), (second, first)):
        source.write_text(service("a"))
        target.write_text("")
        files = ManifestFiles(tmp_path)
        files.load()
        target.write_text(service("a") + service("b"))
        shown = files.refresh((target,))
        assert shown.failed == (
            f"{target}:1: Service default/a is declared twice, also at {source}:1",
        )
        assert [each.name for each in files.declared] == ["a"]
        assert files.refresh() == type(shown)()
        source.write_text("")
        shown = files.refresh((source,))
        assert shown.recovered == (target,)
        assert [each.name for each in files.declared] == ["a", "b"]


@pytest.mark.parametrize("where", ["", "below"], ids=["the folder", "a folder below"])
def test_a_folder_that_cannot_be_read_is_not_an_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    folder = tmp_path / "below"
    folder.mkdir()
    (tmp_path / "a.yaml").write_text(service("a"))
    (folder / "b.yaml").write_text(service("b"))
    files = ManifestFiles(tmp_path)
    files.load()
    scandir = os.scandir

    def fails(path: str | Path) -> object:
        if Path(path) == tmp_path / where:
            raise OSError(errno.EMFILE, "Too many open files")
        return scandir(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", fails)
        refreshed = files.refresh()
    assert not refreshed.changed
    assert refreshed.failed == (f"manifests {tmp_path}: Too many open files",)
    assert len(files.declared) == 2
    assert files.refresh().recovered == (tmp_path,)


def test_reads_only_the_file_that_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abc":
        (tmp_path / f"{name}.yaml").write_text(service(name))
    files = ManifestFiles(tmp_path)
    files.load()
    from kdns.sources import documents

    read: list[str] = []
    original = documents.read

    def counted(path: Path) -> tuple[documents.Placed, ...]:
        read.append(path.name)
        return original(path)

    monkeypatch.setattr(documents, "read", counted)
    replace(tmp_path / "b.yaml", service("b", 7))
    assert files.refresh().changed
    assert read == ["b.yaml"]


def test_reads_a_touched_file_even_if_it_looks_the_same(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(service("a", 1))
    files = ManifestFiles(tmp_path)
    files.load()
    times = file.stat()
    file.write_text(service("b", 1))
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert not files.refresh().changed
    assert files.refresh((file,)).changed
    assert [each.name for each in files.declared] == ["b"]


FILES = ["a.yaml", "b.yml", "c.json", "sub/d.yaml"]
CONTENTS = [
    service("one", 1),
    service("one", 2) + service("two", 3, "n"),
    "apiVersion: v1\nkind: Service\nmetadata: {name: head}\nspec: {clusterIP: None, selector: {a: b}}\n",
    "apiVersion: v1\nkind: Pod\nmetadata: {name: p, labels: {a: b}}\n",
    (
        "apiVersion: v1\nkind: Pod\nmetadata: {name: q, labels: {a: b}}\n---\n"
        "apiVersion: v1\nkind: Service\nmetadata: {name: free}\n"
    ),
    '{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "m"}}',
    "",
    "broken: [\n",
]
steps = st.lists(
    st.tuples(st.sampled_from(FILES), st.none() | st.sampled_from(CONTENTS)), max_size=8
)


@pytest.fixture(scope="module")
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@settings(deadline=None)
@given(st.lists(steps, max_size=6))
def test_any_edits_end_where_a_fresh_start_would(
    scratch: Path, batches: list[list[tuple[str, str | None]]]
) -> None:
    folder = Path(tempfile.mkdtemp(dir=scratch))
    (folder / "sub").mkdir()
    kept = Kept()
    source, _ = manifests(folder, kept, pods=True)
    source.load()

    async def play() -> None:
        for batch in batches:
            for name, text in batch:
                if text is not None:
                    replace(folder / name, text)
                elif (folder / name).exists():
                    os.unlink(folder / name)
            await source.refresh({folder / name for name, _ in batch})

    asyncio.run(play())
    try:
        fresh = loaded(folder)
    except ManifestError:
        return
    assert kept.objects == fresh.objects


def test_the_example_cluster_is_what_its_comments_say() -> None:
    kept = loaded(EXAMPLES)
    services = {
        name: next(
            s
            for s in kept.objects.values()
            if isinstance(s, Service) and f"{s.namespace}/{s.name}" == name
        )
        for name in kept.services
    }
    expected = {
        "default/kubernetes": "10.96.0.1",
        "kube-system/kube-dns": "10.96.0.10",
        "default/hostname-svc-clusterip": "10.101.178.212",
        "default/hostname-svc-nodeport": "10.104.13.29",
        "default/hostname-svc-lb": "100.70.215.171",
        "httpd-test/httpd-test": "10.106.114.167",
        "my-ns/redis-master": "172.17.0.6",
    }
    assert {name: services[name].cluster_ips for name in expected} == {
        name: (ip,) for name, ip in expected.items()
    }
    assert services["default/numbers-api"].external_name == "raw.githubusercontent.com"
    assert services["default/hostname-svc-external-ip"].external_ips == ("10.0.2.4",)
    assert services["httpd-test/httpd-test"].external_ips == ("192.168.1.11",)
    assert services["my-ns/redis-master"].ports[0].number == 6379
    assert {"default/numbers-web", "numbers/numbers-api", "gui-test/web-service"} <= services.keys()
    slices = [each for each in kept.objects.values() if isinstance(each, Slice)]
    [mirrored] = [
        each for each in slices if (each.namespace, each.service) == ("numbers", "numbers-api")
    ]
    assert mirrored.endpoints[0].addresses == ("192.168.123.234",)
    [db] = [each for each in slices if each.service == "db"]
    assert [(each.hostname, each.ready) for each in db.endpoints] == [
        ("db-0", True),
        ("db-1", True),
        ("db-2", False),
    ]
