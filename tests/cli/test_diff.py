"""``kdns diff``: sorted lines, and an exit status that scripts can tell apart."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from kdns.cli import main
from tests.fakes.nameserver import NameServer

ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "examples/cluster"
SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: %s, namespace: shop}
spec: {clusterIP: %s}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yaml").write_text(SERVICE % ("web", "10.96.0.7"))
    (tmp_path / "b.yaml").write_text(
        SERVICE % ("web", "10.96.0.8") + "---\n" + SERVICE % ("db", "10.96.0.9")
    )
    return tmp_path


def run(*words: str) -> int:
    return main.main(["diff", *words])


@pytest.mark.usefixtures("folder")
def test_two_sets_of_manifests(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("a.yaml", "b.yaml", "--zone", "c.test") == 1
    said = capsys.readouterr()
    assert said.out.splitlines() == [
        "- db.shop.svc.c.test. A NXDOMAIN",
        "+ db.shop.svc.c.test. A 10.96.0.9",
        "- db.shop.svc.c.test. AAAA NXDOMAIN",
        "+ db.shop.svc.c.test. AAAA NODATA",
        "- web.shop.svc.c.test. A 10.96.0.7",
        "+ web.shop.svc.c.test. A 10.96.0.8",
    ]
    assert said.err.endswith(" questions, 3 answered differently\n")


ALIAS = """\
apiVersion: v1
kind: Service
metadata: {name: %s, namespace: shop}
spec: {type: ExternalName, externalName: %s.shop.svc.c.test}
"""


@pytest.mark.usefixtures("folder")
def test_an_alias_that_leads_nowhere(capsys: pytest.CaptureFixture[str]) -> None:
    """Of a denial behind an alias the alias counts too."""
    Path("c.yaml").write_text(ALIAS % ("alias", "none"))
    Path("d.yaml").write_text(ALIAS % ("alias", "other"))
    assert run("c.yaml", "d.yaml", "--zone", "c.test") == 1
    at = "alias.shop.svc.c.test."
    assert capsys.readouterr().out.splitlines() == [
        f"- {at} A NXDOMAIN after CNAME none.shop.svc.c.test.",
        f"+ {at} A NXDOMAIN after CNAME other.shop.svc.c.test.",
        f"- {at} AAAA NXDOMAIN after CNAME none.shop.svc.c.test.",
        f"+ {at} AAAA NXDOMAIN after CNAME other.shop.svc.c.test.",
    ]


@pytest.mark.usefixtures("folder")
def test_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy("b.yaml", "c.yaml")
    assert run("b.yaml", "c.yaml", "--with-ttl") == 0
    assert capsys.readouterr().out == ""


def test_a_dump_and_what_it_is_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two moments: what was dumped then, and what is answered now."""
    sources = ("--manifests", str(CLUSTER))
    assert main.main(["dump", "all", *sources, "-o", str(tmp_path)]) == 0
    assert run(str(tmp_path), str(CLUSTER)) == 0
    file = tmp_path / "db.cluster.local"
    file.write_text(file.read_text().replace(" 5 IN A 10.96.0.10", " 7 IN A 10.96.0.10"))
    assert run(str(file), str(CLUSTER), "--names", str(file)) == 0
    capsys.readouterr()
    assert run(str(file), str(CLUSTER), "--names", str(file), "--with-ttl") == 1
    assert "- kube-dns.kube-system.svc.cluster.local. 7 A 10.96.0.10" in capsys.readouterr().out


@pytest.fixture
def server() -> Iterator[NameServer]:
    with NameServer(
        "web.shop.svc.cluster.local. 5 IN A 10.96.0.7", zone="cluster.local."
    ) as running:
        yield running


@pytest.mark.usefixtures("folder")
def test_a_server_and_manifests(server: NameServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(f"@127.0.0.1:{server.port}", "a.yaml", "--zone", "cluster.local") == 1
    out = capsys.readouterr().out
    assert "web.shop" not in out
    assert '+ dns-version.cluster.local. TXT "1.1.0"' in out
    assert "- dns-version.cluster.local. TXT NXDOMAIN" in out


def test_servers_that_tell_no_names(server: NameServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*[f"@127.0.0.1:{server.port}"] * 2) == 2
    assert "neither side tells its names, a server only where" in capsys.readouterr().err


@pytest.mark.usefixtures("folder")
def test_a_reply_that_is_late(server: NameServer) -> None:
    """Asked once more, so that one lost datagram is no difference."""
    lost = iter([True])
    server.reached = lambda _: setattr(server, "fault", "drop" if next(lost, False) else "")
    both = [f"@127.0.0.1:{server.port}"] * 2
    assert run(*both, "--names", "a.yaml", "--zone", "cluster.local") == 0


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["a.yaml"], "expected two sides"),
        (["a.yaml", "nowhere"], "'nowhere': expected @SERVER, an existing path, or api"),
        (["@127.0.0.1:1", "@127.0.0.1:1"], "127.0.0.1:1: connection refused"),
        (["a.yaml", "@127.0.0.1:1"], "127.0.0.1:1: connection refused"),
        (["a.yaml", "broken.yaml"], "broken.yaml:2: "),
    ],
)
def test_what_cannot_be_compared(
    words: list[str], expected: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "broken.yaml").write_text("{")
    assert run(*words) == 2
    assert expected in capsys.readouterr().err
