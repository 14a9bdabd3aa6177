"""CoreDNS's own command line: ``-conf FILE -dns.port N -pidfile F -plugins -quiet -version``."""

from __future__ import annotations

import argparse
import os
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kdns import __version__
from kdns.config import corefile
from kdns.config.tree import ConfigError, ServerBlock

if TYPE_CHECKING:
    from kdns.sources.files import Reading

DEFAULT_FILE: Final = "Corefile"
DEFAULT_PORT: Final = 53


def run(args: list[str]) -> int:
    """Serve as told. Raises ``ConfigError``."""
    options = _parser().parse_args(args)
    if options.version:
        print(f"kdns {__version__}\n{sys.platform}, python {sys.version.split()[0]}")
        return 0
    if options.plugins:
        from kdns.plugins.chain import SUPPORTED

        print("\n".join(f"dns.{name}" for name in sorted(SUPPORTED)))
        return 0
    from kdns.cli.serve import serve
    from kdns.sources.configuration import Configuration

    configuration = Configuration(lambda reading: read(options.conf, options.port, reading))
    return serve(
        configuration.load,
        changes=configuration.changes,
        quiet=options.quiet,
        pidfile=options.pidfile,
        workers=options.workers,
    )


def read(path: str, port: int, reading: Reading | None = None) -> tuple[ServerBlock, ...]:
    """The server blocks of a Corefile; without a file's name, of ``./Corefile`` if there is one.

    ``reading`` remembers which files that took. Raises ``ConfigError`` for a file that is missing or
    cannot be used.
    """
    from kdns.sources.files import Reading

    files = reading or Reading()
    if not path and not Path(DEFAULT_FILE).exists():
        return corefile.default_blocks(port)
    path = path or DEFAULT_FILE
    text = _standard_input() if path == "stdin" else files.read(path)
    blocks = corefile.parse(text, path, load=files.load, environment=os.environ, port=port)
    return blocks or corefile.default_blocks(port)


@cache
def _standard_input() -> str:
    """There is only one time to read it; the configuration is read again at the start and at reloads."""
    return sys.stdin.read()


EXAMPLES: Final = """\
examples:
  kdns -conf /etc/coredns/Corefile
  kdns -conf Corefile -dns.port 1053         instead of port 53, where a key names none
  kdns -conf stdin < Corefile
  kdns -plugins                              the directives that there are

Without -conf, ./Corefile is served; if there is none, whoami on every name.
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kdns",
        description="Serve a Corefile, as coredns does. 'kdns --help' tells of the other commands.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        add_help=False,
    )
    parser.add_argument("-help", "--help", "-h", action="help", help="show this help and end")
    parser.add_argument("-conf", "--conf", default="", metavar="FILE", help="the Corefile to serve")
    parser.add_argument(
        *("-dns.port", "--dns.port", "-p"),
        dest="port",
        type=port,
        default=DEFAULT_PORT,
        metavar="N",
        help="the port of keys that name none (default: %(default)s)",
    )
    parser.add_argument(
        "-pidfile",
        "--pidfile",
        default="",
        metavar="FILE",
        help="write the process ID to this file",
    )
    parser.add_argument(
        "-plugins", "--plugins", action="store_true", help="list the directives and end"
    )
    parser.add_argument("-quiet", "--quiet", action="store_true", help="no lines at start and end")
    parser.add_argument(
        "-workers",
        "--workers",
        type=int,
        default=1,
        metavar="N",
        help="processes that answer; CoreDNS has no such flag (default: %(default)s)",
    )
    parser.add_argument(
        "-version", "--version", action="store_true", help="show the version and end"
    )
    return parser


def port(text: str) -> int:
    """For argparse: 0 lets the system choose."""
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"expected a port of 0 to 65535, not {text!r}")
    return int(text)


__all__ = ["ConfigError", "read", "run"]
