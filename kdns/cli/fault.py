"""``kdns fault``: let things go wrong in a running server, to see how applications take it."""

from __future__ import annotations

import argparse
from typing import Final

from kdns.cli.watching import Connection, add_socket
from kdns.config.tree import ConfigError
from kdns.derivation.messages import ClearFaults, ListFaults, Request, SetFault
from kdns.plugins import fault

EXAMPLES: Final = """\
examples:
  kdns fault set web.shop.svc.cluster.local delay 200ms
  kdns fault set shop.svc.cluster.local drop 10% seed 7
  kdns fault set . rcode SERVFAIL 5% truncate
  kdns fault list
  kdns fault clear web.shop.svc.cluster.local
  kdns fault clear

A fault is for a name and all below it, and lasts until it is cleared or the server ends.
The server must have the directive debug { socket }; see kdns serve --debug.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EXAMPLES
    parser.add_argument(
        "action",
        metavar="{set,list,clear}",
        choices=["set", "list", "clear"],
        help="set one fault, list all, or clear one or all",
    )
    parser.add_argument(
        "words",
        nargs="*",
        default=[],
        metavar="NAME WHAT",
        help="where, and what goes wrong there: delay TIME, drop, rcode NAME, truncate, each with"
        " a share such as 10%% where it is not to be all; seed N",
    )
    add_socket(parser)


def run(options: argparse.Namespace) -> int:
    request = _request(options.action, options.words)
    with Connection(options.socket) as connection:
        done = connection.ask(request)
    for text in done.faults:
        print(text)
    return 0


def _request(action: str, words: list[str]) -> Request:
    match action, words:
        case "set", [_, _, *_]:
            fault.parse(fault.from_words(words))  # what is wrong is said without a server too
            return SetFault(words)
        case "list", []:
            return ListFaults()
        case "clear", [] | [_]:
            return ClearFaults(*words)
        case _:
            raise ConfigError("expected: set NAME WHAT ..., list, or clear [NAME]")
