# ruff: noqa: E501 (tables: one case, one line)
from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Final

import pytest

from kdns.cli import check
from kdns.config.flags import ServeFlags, to_blocks
from kdns.config.tree import ConfigError
from kdns.server import generation

SERVICE: Final = """\
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.96.0.7, ports: [{port: 80}]}
"""
ZONE: Final = """\
$ORIGIN a.test.
$TTL 60
@ SOA ns hostmaster 7 1 1 1 60
@ NS ns
ns A 192.0.2.1
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, text in {
        "manifests/web.yaml": SERVICE,
        "db.a.test": ZONE,
        "broken/b.test.zone": "@ SOA ns\n",
        "broken/web.yaml": SERVICE.replace("port: 80", "port: 80000"),
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    check.add_arguments(parser)
    return check.run(parser.parse_args(words))


def test_effective_corefile(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ZONE", "a.test")
    (folder / "common.conf").write_text("log\nerrors\n")
    (folder / "Corefile").write_text(
        "(k) {\nkubernetes {\nmanifests manifests\nupstream\n}\n}\n"
        "cluster.local {\nimport k\nimport common.conf\n}\n"
        "{$ZONE}:53 {\nfile db.a.test\n}\n"
        "empty.test {\n}\n"
    )
    assert run("-p", "1053", "Corefile") == 0
    out, err = capsys.readouterr()
    assert (
        out
        == """\
# Corefile:7: asked in this order: errors, log, kubernetes
cluster.local.:1053 {
    kubernetes {
        manifests manifests
        upstream
    }
    log
    errors
}

# Corefile:11: asked in this order: file
a.test.:53 {
    file db.a.test
}

# Corefile:14: asked in this order: nothing, every question is refused
empty.test.:1053 {
}
"""
    )
    assert re.fullmatch(r"warning: Corefile:4: kubernetes: upstream .*\n", err)
    (folder / "Effective").write_text(out)
    assert run("Effective") == 0
    again = capsys.readouterr().out
    assert re.sub("^#.*", "", again, flags=re.MULTILINE) == re.sub(
        "^#.*", "", out, flags=re.MULTILINE
    )


def test_empty_corefile_is_the_default(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "Corefile").write_text("# nothing\n")
    assert run("Corefile") == 0
    out, err = capsys.readouterr()
    assert out.endswith(".:53 {\n    whoami\n    log\n}\n")
    assert err == "warning: Corefile has no server block; as in CoreDNS, whoami is served\n"


def test_what_a_start_would_wait_for_is_a_warning(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "Corefile").write_text(". {\nhosts nosuch\nfile none a.test\n}\n")
    assert run("Corefile") == 0
    problem = "No such file or directory"
    assert sorted(capsys.readouterr().err.splitlines()) == [
        f"warning: none: {problem}; zone a.test. answers SERVFAIL until it is loaded",
        f"warning: nosuch: {problem}; as if empty until it is read",
    ]


@pytest.mark.parametrize(
    ("text", "errors"),
    [
        pytest.param(". {\nwhoami", ["Corefile:2: expected '}', found the end of the file"], id="syntax"),
        pytest.param("a {\nwhoamy\n}\nb {\nlog {\nx\n}\n}", ["Corefile:2: unknown directive 'whoamy'", "Corefile:6: x"], id="each block"),
        pytest.param(". {\nwhoamy\nready :x\ncache a {\nb\n}\nlog\n}", ["Corefile:2: unknown", "Corefile:3: ready: ", "Corefile:5: "], id="each directive"),
        pytest.param(". {\nerrors\nerrors\n}", ["Corefile:3: errors: is there already"], id="twice"),
        pytest.param("tls://. {\nwhoami\n}", ["Corefile:1: tls://"], id="tls"),
        pytest.param(". {\nkubernetes 10.0.0.0/8\n}", ["Corefile:2: kubernetes: needs a zone"], id="found by building"),
        pytest.param(". {\nshortnames\n}", ["Corefile:2: shortnames: needs"], id="what another needs"),
        pytest.param(". {\nkubernetes a {\nmanifests broken\n}\n}", ["broken/web.yaml:4: "], id="manifests"),
        pytest.param(". {\nfile broken/b.test.zone b.test\n}", ["broken/b.test.zone:1: "], id="zone file"),
    ],
)  # fmt: skip
def test_broken_corefile(
    folder: Path, capsys: pytest.CaptureFixture[str], text: str, errors: list[str]
) -> None:
    (folder / "Corefile").write_text(text)
    assert run("Corefile") == 1
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert len(lines) == len(errors)
    for line, expected in zip(lines, errors, strict=True):
        assert line.startswith(f"error: {expected}"), err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param(["manifests"], "manifests: 3 namespaces, 1 services\n", id="folder"),
        pytest.param(
            ["manifests/web.yaml"], "manifests/web.yaml: 3 namespaces, 1 services\n", id="file"
        ),
        pytest.param(["db.a.test"], "db.a.test: zone a.test., serial 7, 3 records\n", id="zone"),
        pytest.param(
            ["--as", "zone", "--origin", "test", "db.a.test"], None, id="zone of another name"
        ),
        pytest.param(
            ["."],
            None,
            id="folder with broken files",
        ),
        pytest.param(["--as", "zone", "."], None, id="zones alone"),
    ],
)
def test_data(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], expected: str | None
) -> None:
    assert run(*words) == (expected is None)
    assert capsys.readouterr().out == (expected or "")


def test_every_broken_file_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("broken") == 1
    manifest, zone = capsys.readouterr().err.splitlines()
    assert manifest.startswith("error: broken/web.yaml:4: ")
    assert zone.startswith("error: broken/b.test.zone:1: ")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["none"], "error: cannot read 'none': No such file or directory\n"),
        (["--origin", "a..b", "db.a.test"], "error: not a zone: 'a..b' has an empty label\n"),
        (["--origin", "10.0.0.0/9", "db.a.test"], "error: --origin: 10.0.0.0/9 is several zones\n"),
        (["empty"], "error: empty has neither manifests (*.yaml, *.json) nor zone files (db.*)\n"),
    ],
)
def test_paths_that_are_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], error: str
) -> None:
    (folder / "empty").mkdir()
    assert run(*words) == 1
    assert capsys.readouterr().err == error


def test_several_paths(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("manifests", "db.a.test") == 0
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == [
        "manifests",
        "db.a.test",
    ]


def test_options_of_serve(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--serve", "--", "--manifests", "manifests", "--listen", "127.0.0.1:5353") == 0
    out = capsys.readouterr().out
    assert "\n.:5353 {\n    bind 127.0.0.1\n" in out
    assert "\n        manifests manifests\n" in out


def test_wrong_options_of_serve(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--serve", "--", "--manifests", "manifests", "--listen", "here") == 1
    assert (
        capsys.readouterr().err
        == "error: --listen: 'here' has no port; expected HOST:PORT or :PORT\n"
    )


@pytest.mark.parametrize("port", ["65536", "-1", "x"])
def test_port_out_of_range(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run("-p", port, "Corefile")
    assert "-p/--port" in capsys.readouterr().err


@pytest.mark.parametrize(
    "flags",
    [
        ServeFlags(),
        ServeFlags(manifests="examples/cluster", shortnames="default", zone_folders=("zones",)),
        ServeFlags(kubeconfig="config", context="kind", pods="verified", ttl=0, log=True),
    ],
)
def test_directives_accept_what_flags_mean(flags: ServeFlags) -> None:
    (planned,) = generation.plan(to_blocks(flags))
    assert "kubernetes" in planned.order
    assert not planned.warnings


def test_directives_name_the_flag_that_is_wrong() -> None:
    with pytest.raises(ConfigError, match=r"^--pods: "):
        generation.plan(to_blocks(ServeFlags(pods="all")))
