"""Help is for newcomers: every command tells its options and shows a command that works."""

from __future__ import annotations

import argparse
import re
import shlex
from importlib import import_module

import pytest

from kdns import __version__
from kdns.cli import main, serve
from kdns.config.flags import ServeFlags
from kdns.plugins.chain import SUPPORTED


def parser_of(command: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    import_module(f"kdns.cli.{command}").add_arguments(parser)
    return parser


HELP = [["--help"], *([command, "--help"] for command in main.COMMANDS)]


def run(*args: str) -> int:
    """The exit status, also where argparse ends the process."""
    try:
        return main.main(args)
    except SystemExit as end:
        return int(end.code or 0)


@pytest.fixture
def called_coredns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["/usr/bin/coredns"])


@pytest.mark.parametrize("args", [*HELP, ["-help"]])
def test_help_shows_examples(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*args) == 0
    assert "\nexamples:\n" in capsys.readouterr().out


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    out = capsys.readouterr().out
    for command in main.COMMANDS:
        assert re.search(rf"^    {command} ", out, re.MULTILINE)


@pytest.mark.parametrize("command", main.COMMANDS)
def test_every_option_is_explained(command: str) -> None:
    actions = parser_of(command)._actions
    assert [action.dest for action in actions if not action.help] == []


@pytest.mark.parametrize("args", HELP)
def test_commands_in_help_parse(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    run(*args)
    shown = re.findall(r"^  kdns ([a-z]+) (.*?)(?:  .*)?$", capsys.readouterr().out, re.MULTILINE)
    assert shown
    for command, text in shown:
        main.parse([command, *shlex.split(re.split("[>|]", text)[0])])


def test_no_command_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 2
    assert capsys.readouterr().out.startswith("usage: kdns ")


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["--version"], f"kdns {__version__}\n"),
        (["-version"], f"kdns {__version__}\n"),
        (["-plugins"], "".join(f"dns.{name}\n" for name in sorted(SUPPORTED))),
    ],
    ids=lambda value: "".join(value) if isinstance(value, list) else "",
)
def test_short_answers(args: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*args) == 0
    assert capsys.readouterr().out.startswith(expected)


@pytest.mark.usefixtures("called_coredns")
@pytest.mark.parametrize("flag", ["-h", "-help", "--help"])
def test_under_the_name_of_coredns(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(flag) == 0
    assert "-conf FILE" in capsys.readouterr().out


def test_defaults_are_those_of_the_flags() -> None:
    """What ``kdns serve`` makes of no options is what ``ServeFlags`` is by itself."""
    parser = argparse.ArgumentParser()
    serve.add_arguments(parser)
    assert serve.read(parser.parse_args(["--in-cluster"])) == ServeFlags()
