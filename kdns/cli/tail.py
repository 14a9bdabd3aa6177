"""``kdns tail``: the questions of a running server as they come."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from datetime import datetime
from fnmatch import fnmatchcase
from ipaddress import ip_address
from itertools import islice
from typing import Final

import msgspec

from kdns.cli.watching import Connection, Exchange, add_socket, amount, count, exchanges
from kdns.wire.constants import type_name
from kdns.wire.scalars import type_number

EXAMPLES: Final = """\
examples:
  kdns tail                          all questions
  kdns tail '*.shop.svc*' --failed   what does not resolve in a namespace
  kdns tail --client shop/web-0      what a Pod asks; also an address
  kdns tail --json                   one JSON object for each, as for jq

The server must have the directive debug { socket }; see kdns serve --debug.
"""

MAX_DATA: Final = 4
"""Records shown of an answer."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EXAMPLES
    parser.add_argument(
        "name", nargs="?", default="*", metavar="NAME", help="only these names, such as '*.shop.*'"
    )
    parser.add_argument(
        "--client",
        type=_client,
        default="",
        metavar="WHO",
        help="only questions of this address or Pod (NAMESPACE/NAME)",
    )
    parser.add_argument(
        "--type", type=_type, default="", metavar="TYPE", help="only questions of this type"
    )
    parser.add_argument("--failed", action="store_true", help="only those without a usable answer")
    parser.add_argument(
        "--slower",
        type=amount,
        default=0.0,
        metavar="MS",
        help="only those that took at least so many milliseconds",
    )
    parser.add_argument(
        "--count", type=count, default=0, metavar="N", help="end after so many questions"
    )
    parser.add_argument("--json", action="store_true", help="print a JSON object for each")
    add_socket(parser)


def _client(text: str) -> str:
    if not text or text.count("/") == 1:
        return text
    try:
        return str(ip_address(text))
    except ValueError:
        problem = f"an address expected, or a Pod as NAMESPACE/NAME, not {text[:80]!r}"
        raise argparse.ArgumentTypeError(problem) from None


def _type(text: str) -> str:
    try:
        return type_name(type_number(text)) if text else ""
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def run(options: argparse.Namespace) -> int:
    with Connection(options.socket) as connection:
        found = _wanted(options, connection)
        for exchange in islice(found, options.count or None):
            line = _as_json(exchange) if options.json else to_line(exchange)
            print(line, flush=True)
    return 0


def _wanted(options: argparse.Namespace, connection: Connection) -> Iterator[Exchange]:
    for batch in filter(None, connection.batches()):
        if batch.missed:
            print(f"kdns: {batch.missed} questions were too many to tell", file=sys.stderr)
        yield from (each for each in exchanges(batch) if matches(options, each))


def matches(options: argparse.Namespace, exchange: Exchange) -> bool:
    """Whether an exchange passes the filters."""
    pattern = options.name.lower()
    return (
        (fnmatchcase(exchange.name, pattern) or fnmatchcase(exchange.name[:-1], pattern))
        and options.client in {"", exchange.client, exchange.pod}
        and options.type in {"", exchange.type}
        and (exchange.failed or not options.failed)
        and exchange.seconds * 1000 >= options.slower
    )


def to_line(exchange: Exchange) -> str:
    """``TIME CLIENT NAME TYPE RCODE DATA``, how long it took, and the reason."""
    moment = datetime.fromtimestamp(exchange.time)
    data = ", ".join(exchange.data[:MAX_DATA]) + (" …" if len(exchange.data) > MAX_DATA else "")
    took = "kept" if exchange.kept else f"{exchange.seconds * 1000:.1f} ms"
    parts = [
        f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03d}",
        exchange.pod or exchange.client,
        exchange.name,
        exchange.type,
        "no reply" if exchange.rcode == "-" else exchange.rcode,
        *([data] if data else []),
        f"({took})",
        *([f"- {exchange.reason}"] if exchange.reason else []),
    ]
    return " ".join(parts)


def _as_json(exchange: Exchange) -> str:
    return msgspec.json.encode(exchange).decode()
