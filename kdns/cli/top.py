"""``kdns top``: what a running server is asked most, and what is asked in vain."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from time import monotonic
from typing import Final

from kdns.cli.tally import Frequent, Tally
from kdns.cli.watching import Connection, add_socket, amount, count, exchanges

EXAMPLES: Final = """\
examples:
  kdns top                  a table that is drawn anew every two seconds
  kdns top --seconds 10     one table, after ten seconds

The server must have the directive debug { socket }; see kdns serve --debug.
"""

PAUSE: Final = 2.0
"""Seconds between two drawings."""

_CLEAR: Final = "\x1b[H\x1b[2J"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EXAMPLES
    parser.add_argument(
        "--seconds",
        type=amount,
        default=0.0,
        metavar="N",
        help="show one table, after so many seconds, and end",
    )
    parser.add_argument(
        "--lines",
        type=count,
        default=5,
        metavar="N",
        help="lines of each part (default: %(default)s)",
    )
    add_socket(parser)


def run(options: argparse.Namespace) -> int:
    tally, began = Tally(), monotonic()
    drawn = began
    with Connection(options.socket) as connection:
        for batch in connection.batches(PAUSE if not options.seconds else options.seconds / 10):
            if batch is not None:
                tally.missed += batch.missed
                for exchange in exchanges(batch):
                    tally.add(exchange)
            now = monotonic()
            if options.seconds and now - began >= options.seconds:
                break
            if not options.seconds and now - drawn >= PAUSE:
                drawn = now
                clear = _CLEAR if sys.stdout.isatty() else ""
                print(clear + "\n".join(table(tally, now - began, options.lines)), flush=True)
    if options.seconds:
        print("\n".join(table(tally, options.seconds, options.lines)))
    return 0


def table(tally: Tally, seconds: float, lines: int) -> Iterator[str]:
    """What was counted in so many seconds."""
    kept = tally.kept * 100 // max(tally.count, 1)
    missed = f"; {tally.missed} more were too many to tell" if tally.missed else ""
    yield (
        f"{tally.count} questions in {seconds:.0f} s ({tally.count / max(seconds, 0.001):.0f}/s), "
        f"{kept} % of the replies were kept{missed}"
    )
    yield ", ".join(f"{kind} {count}" for kind, count in tally.rcodes.most_common())
    parts: list[tuple[str, Frequent]] = [
        ("busiest names", tally.names),
        ("busiest clients", tally.clients),
        ("NXDOMAIN", tally.absent),
        (
            f"found after names of a search list ({tally.wasted_count} questions wasted)",
            tally.wasted,
        ),
        ("asked again", tally.retried),
    ]
    for heading, counted in parts:
        found = counted.most(lines)
        if found:
            yield ""
            yield heading
            yield from (f"{count:>8}  {what}" for what, count in found)
