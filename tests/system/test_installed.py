"""The way back: whatever happened in between, every file is as it was."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kdns.cli import laptop_system
from kdns.config.addresses import Address
from kdns.system import methods
from kdns.system.installed import STATE_ELSEWHERE, install, installed, read_state, uninstall
from kdns.system.machine import Machine
from kdns.system.steps import Plan, PlanError, RunCommand, Wanted, WriteFile
from tests.system.killed import PLAN, WANTED, files, prepare


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    prepare(tmp_path)
    return Machine(str(tmp_path), "linux")


def test_killed_anywhere() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.system.killed"], capture_output=True, text=True, check=False
    )
    lines = ran.stdout.splitlines()
    assert ran.returncode == 0, ran.stderr
    assert [line.split(":")[0] for line in lines] == ["install", "uninstall"], ran.stdout
    assert all(int(line.split()[1]) > 20 for line in lines)


def test_installed_is_known_without_root(machine: Machine) -> None:
    assert installed(machine) is None
    install(machine, PLAN)
    assert installed(machine) == WANTED
    assert machine.path(STATE_ELSEWHERE).stat().st_mode & 0o444 == 0o444
    uninstall(machine)
    assert installed(machine) is None


def test_what_fails_is_undone(machine: Machine) -> None:
    before = files(machine.root)
    plan = Plan("test", WANTED, (*PLAN.steps, RunCommand(do=("false",))))
    with pytest.raises(PlanError, match=r"false: exit status 1; what was begun is undone"):
        install(machine, plan)
    assert files(machine.root) == before


@pytest.mark.parametrize("as_link", [False, True])
def test_files_that_others_changed_are_theirs(machine: Machine, *, as_link: bool) -> None:
    install(machine, PLAN)
    path = machine.path("/etc/resolv.conf")
    path.unlink()
    if as_link:
        path.symlink_to("elsewhere")
    else:
        path.write_text("nameserver 192.0.2.99\n")
    theirs = files(machine.root)["etc/resolv.conf"]
    assert uninstall(machine) == [
        "/etc/resolv.conf was changed by somebody else since, and is left as it is"
    ]
    assert files(machine.root)["etc/resolv.conf"] == theirs
    assert machine.link("/etc/link") == "/run/resolv.conf", "the others are put back"


def test_a_file_that_is_gone_comes_back(machine: Machine) -> None:
    before = files(machine.root)
    install(machine, PLAN)
    machine.path("/etc/resolv.conf").unlink()
    assert uninstall(machine) == []
    assert files(machine.root) == before


def test_folders_that_others_use_stay(machine: Machine) -> None:
    install(machine, PLAN)
    machine.path("/etc/new/other").write_text("")
    assert uninstall(machine) == []
    assert machine.exists("/etc/new/other")
    assert not machine.exists("/etc/new/folder")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"method": 1}', "\x00" * 100])
def test_a_broken_state(machine: Machine, content: str) -> None:
    path = machine.path(STATE_ELSEWHERE)
    path.parent.mkdir(parents=True)
    path.write_text(content)
    assert installed(machine) is None
    with pytest.raises(PlanError, match=r"split-dns.json: .*; remove it when nothing is installed"):
        read_state(machine)


def test_too_long_files_are_left_alone(machine: Machine) -> None:
    machine.path("/etc/resolv.conf").write_bytes(b"#" * 10**6)
    before = files(machine.root)
    with pytest.raises(PlanError, match="is no file of at most"):
        install(machine, PLAN)
    assert files(machine.root) == before


# ---- what the command says


@pytest.fixture
def here(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """The command's machine: another root folder, and nobody is root."""
    monkeypatch.setattr(laptop_system, "Machine", lambda: machine)
    monkeypatch.setattr(Machine, "privileged", property(lambda _: False))
    monkeypatch.setattr(methods, "METHODS", methods.METHODS[-1:])
    return machine


ASKED = Wanted(("cluster.internal",), ("svc.cluster.internal",), Address("127.0.0.1", 53))


def test_without_root_the_command_is_told(
    here: Machine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = tmp_path / "my config"
    config.touch()
    monkeypatch.setenv("KUBECONFIG", str(config))
    monkeypatch.setattr(sys, "argv", ["/bin/sh", "laptop", "--context", "a b", "--install"])
    before = files(here.root)
    assert laptop_system.install(ASKED, only_print=False) == 1
    assert capsys.readouterr().err.splitlines() == [
        "kdns: this needs root; nothing was changed. Run:",
        f"  sudo env 'KUBECONFIG={config}' /bin/sh laptop --context 'a b' --install",
    ]
    assert files(here.root) == before


def test_print(here: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    before = files(here.root)
    assert laptop_system.install(ASKED, only_print=True) == 0
    script = capsys.readouterr().out
    assert files(here.root) == before
    # What is printed is a script that does the same.
    script = script.replace("/etc/resolv.conf", str(here.path("/etc/resolv.conf")))
    subprocess.run(["sh", "-ec", script], check=True)
    assert here.read("/etc/resolv.conf").splitlines()[1:] == [
        "nameserver 127.0.0.1",
        "nameserver 192.0.2.1",
        "search svc.cluster.internal",
    ]


def test_print_of_the_way_back(here: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    assert laptop_system.uninstall(only_print=True) == 0
    assert capsys.readouterr().out == "Nothing is installed.\n"
    steps = (WriteFile("/etc/link", "ours\n"), WriteFile("/etc/file", "ours\n"))
    install(here, Plan("test", WANTED, steps))
    assert laptop_system.uninstall(only_print=True) == 0
    assert capsys.readouterr().out.splitlines() == [
        "# test, undone in this order:",
        "rm /etc/file",
        "ln -sf ../run/resolv.conf /etc/link",
    ]
