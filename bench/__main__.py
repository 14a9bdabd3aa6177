"""``python -m bench [ROW …]``: measure, print the table, write the results."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

from bench import report, servers
from bench.dnsperf import LoadError
from bench.lab import Lab
from bench.report import Line
from bench.rounds import NotRunError
from bench.rows import Row
from bench.rows.table import ROWS
from tests.cluster.processes import DiedError
from tests.cluster.programs import MissingProgramError

_CANNOT: Final = (
    *(NotRunError, LoadError, DiedError, MissingProgramError, TimeoutError, OSError),
    subprocess.SubprocessError,
)


def main() -> int:
    """Return 0 when all that ran holds its bar, 1 when something does not."""
    options = _parser().parse_args()
    if options.list:
        print("\n".join(f"{row.name:<22}{row.title}" for row in ROWS))
        return 0
    rows = chosen(options.rows)
    if not rows:
        print(f"no row is named {' or '.join(options.rows)}; --list names them", file=sys.stderr)
        return 2
    lines: list[Line] = []
    with tempfile.TemporaryDirectory(prefix="kdns-bench-") as folder:
        lab = Lab(Path(folder), options.rounds, options.seconds, options.kdns)
        try:
            lines += [_run(row, lab) for row in rows]
        finally:
            lab.close()
    print(report.table(lines))
    if not options.rows or options.write:
        report.write(lines)
    return int(any(line.missed for line in lines))


def chosen(patterns: Sequence[str]) -> list[Row]:
    """The rows with such names; all without patterns."""
    return [row for row in ROWS if any(fnmatch(row.name, each) for each in patterns or "*")]


def _run(row: Row, lab: Lab) -> Line:
    print(f"{row.name}: {row.title}", file=sys.stderr, flush=True)
    try:
        line = Line(row.name, row.title, row.peer, row.bar, row.measure(lab, row.bar))
    except _CANNOT as error:
        line = Line(row.name, row.title, row.peer, row.bar, None, f"{error}".strip())
    print(f"  {line}", file=sys.stderr, flush=True)
    return line


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "rows", nargs="*", metavar="ROW", help="a name or a pattern such as first-*"
    )
    parser.add_argument("--list", action="store_true", help="name the rows")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each side (5)")
    parser.add_argument("--seconds", type=float, default=2.5, help="of each measurement (2.5)")
    parser.add_argument(
        "--kdns", type=Path, default=servers.kdns(), metavar="PROGRAM", help="another kdns"
    )
    parser.add_argument("--write", action="store_true", help="write the results of some rows too")
    parser.epilog = (
        "Without ROW all are measured, which takes about 45 minutes, and the results are written."
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
