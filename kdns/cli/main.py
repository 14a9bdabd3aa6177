"""``kdns COMMAND`` and, for who comes from CoreDNS, ``kdns -conf FILE``.

The commands are a table; each one's module is imported when it is chosen, so that ``kdns --help`` and the
small commands do not pay for the server.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Final

from kdns import __version__
from kdns.config.spelling import suggestion
from kdns.config.tree import ConfigError

COMMANDS: Final = {
    "serve": "answer DNS questions from manifests, a Kubernetes API server and zone files",
    "laptop": "resolve a cluster's names on this machine, and everything else as before",
    "query": "resolve a name as an application would, and show every question on the way",
    "explain": "explain how the answer to a name comes about, and what to look at next",
    "dump": "print all records of a zone as a master file",
    "diff": "compare what two servers, or two sets of manifests, answer",
    "wait": "wait until a name resolves, or no longer does",
    "check": "validate a Corefile, zone files or manifests, and show what they mean",
    "tail": "show the questions of a running server as they come",
    "top": "show what a running server is asked most, and what it has no answer for",
    "fault": "make things go wrong in a running server, to see how applications cope",
}

EXAMPLES: Final = """\
examples:
  kdns serve --manifests examples/cluster    a cluster that is only files, on 127.0.0.1:1053
  kdns laptop                                kubectl's cluster on this machine, all other names as before
  kdns -conf Corefile -dns.port 1053         CoreDNS's flags and file; also under the name coredns
  kdns check Corefile                        what this configuration means

then, in another terminal:
  dig @127.0.0.1 -p 1053 kubernetes.default.svc.cluster.local

The options of a command: kdns COMMAND --help; CoreDNS's flags: kdns -help
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status: 0, 1 for a failure, 2 for wrong usage."""
    args = list(sys.argv[1:] if argv is None else argv)
    try:
        status = _run_as_coredns(args) if _like_coredns(args) else _run_command(args)
        sys.stdout.flush()
    except ConfigError as error:
        print(f"kdns: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # ``| head`` has seen enough
        _give_up_output()
        return 141
    except OSError as error:  # where nobody says more: no rights, no space, no descriptors
        place = f"{error.filename}: " if error.filename else ""
        print(f"kdns: {place}{error.strerror or error}", file=sys.stderr)
        _give_up_output()
        return 1
    return status


def _give_up_output() -> None:
    """What waits to be printed cannot be: the interpreter would complain of that at its end."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _like_coredns(args: list[str]) -> bool:
    if Path(sys.argv[0]).name == "coredns":
        return True
    return bool(args) and args[0].startswith("-") and args[0] not in _OWN_FLAGS


_OWN_FLAGS: Final = {"-h", "--help", "--version"}

_SERVERS: Final = {"serve", "laptop"}
"""Ctrl-C ends these at once until they handle it: they import more, and an import may lose the exception."""


def _run_command(args: list[str]) -> int:
    options = parse(args)
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL and options.command not in _SERVERS:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    status: int = options.run(options)
    return status


def parse(args: Sequence[str]) -> argparse.Namespace:
    """The options of a command, with the function ``run`` that takes them.

    Ends the process where they are wrong. A command that takes ``words`` finds all of them there, also
    those between options, which argparse would refuse.
    """
    parser = argparse.ArgumentParser(
        prog="kdns",
        description="An authoritative DNS server for Kubernetes that can explain every answer.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"kdns {__version__}")
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND")
    chosen = next((arg for arg in args if not arg.startswith("-")), None)
    if chosen is not None and chosen not in COMMANDS:
        parser.error(f"there is no command {chosen!r}{suggestion(chosen, COMMANDS)}")
    for name, purpose in COMMANDS.items():
        command = commands.add_parser(
            name,
            help=purpose,
            description=purpose[0].upper() + purpose[1:] + ".",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if name == chosen:
            module = import_module(f"kdns.cli.{name}")
            module.add_arguments(command)
            command.set_defaults(run=module.run, parser=command)
    options, more = parser.parse_known_args(args)
    if options.command is None:
        parser.print_help()
        parser.exit(2)
    if more and (not hasattr(options, "words") or any(word.startswith("-") for word in more)):
        wrong = next((word for word in more if word.startswith("-")), more[0])
        known = options.parser._option_string_actions
        hint = suggestion(wrong.partition("=")[0], known)
        options.parser.error(f"unrecognized arguments: {' '.join(more)}{hint}")
    if more:
        options.words += more
    return options


def _run_as_coredns(args: list[str]) -> int:
    status: int = import_module("kdns.cli.coredns").run(args)
    return status
