"""``kdns check``: whether a Corefile, zone file or manifest folder is in order, and what it means.

What it prints for a Corefile is a Corefile again, the effective one, with the order in which the
directives are asked as comments. It reads with the server's own parsers and derives nothing anew.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from kdns.cli import coredns, serve
from kdns.config import corefile, flags
from kdns.config.access import ManifestAccess
from kdns.config.printer import to_text
from kdns.config.tree import ConfigError, ServerBlock
from kdns.metrics import Metrics
from kdns.plugins import chain
from kdns.plugins.chain import Plan
from kdns.records.cluster import Selection, assemble
from kdns.server import generation
from kdns.server.clusters import WatchedCluster, merge
from kdns.sources import files, zone_loading
from kdns.sources.documents import ManifestError
from kdns.sources.manifest_files import SUFFIXES, ManifestFiles
from kdns.sources.zone_loading import ZoneFileError
from kdns.wire import names
from kdns.wire.names import Name

EXAMPLES: Final = """\
examples:
  kdns check /etc/coredns/Corefile          what CoreDNS's file means, and whether kdns can serve it
  kdns check -p 1053 Corefile > effective   imports, snippets and variables resolved
  kdns check examples/cluster               every manifest in the folder
  kdns check zones/db.example.test          a zone file; its origin comes from its name
  kdns check --origin example.test my.txt   or from the option
  kdns check --serve -- --manifests DIR     the Corefile that options of kdns serve stand for
"""


class Report(Struct):
    """What was found out about one path."""

    text: str = ""
    """For standard output."""
    warnings: list[str] = []
    errors: list[str] = []


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the command's arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXAMPLES
    parser.add_argument(
        "paths",
        nargs="*",
        metavar="PATH",
        help="a Corefile, a zone file, a manifest, or a folder of them",
    )
    parser.add_argument(
        "--as",
        dest="kind",
        choices=sorted(_CHECKS),
        help="what PATH is, where its name does not tell",
    )
    parser.add_argument(
        "--origin", default="", metavar="ZONE", help="the zone that a zone file is for"
    )
    parser.add_argument(
        "-p",
        "--port",
        type=coredns.port,
        default=53,
        metavar="N",
        help="the port of keys that name none (default: %(default)s)",
    )
    parser.add_argument(
        "--serve", action="store_true", help="take what follows -- as options of kdns serve"
    )


def run(args: argparse.Namespace) -> int:
    """Check, and print the result. Returns the exit status: 0 in order, 1 not."""
    if not args.paths and not args.serve:
        args.parser.error("which file? Expected PATH")
    report = Report()
    try:
        _check(args, report)
    except ConfigError as error:
        report.errors.append(str(error))
    for warning in report.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    for error_text in report.errors:
        print(f"error: {error_text}", file=sys.stderr)
    if not report.errors:
        print(report.text, end="")
    return 1 if report.errors else 0


def _check(args: argparse.Namespace, report: Report) -> None:
    if args.serve:
        _check_blocks(_serve_options(args.paths), report)
        return
    for path in args.paths:
        for kind in [args.kind] if args.kind else kinds(Path(path), args.origin):
            _CHECKS[kind](path, args, report)


def _serve_options(words: list[str]) -> tuple[ServerBlock, ...]:
    parser = argparse.ArgumentParser(prog="kdns check --serve --", allow_abbrev=False)
    serve.add_arguments(parser)
    return flags.to_blocks(serve.read(parser.parse_args(words)))


def kinds(path: Path, origin: str) -> list[str]:
    """What a path is, by its name; a folder may hold both manifests and zone files."""
    if not path.is_dir():
        return ["zone" if origin else _kind(path.name)]
    found = {_kind(name) for _, _, inside in os.walk(path) for name in inside}
    if not (kinds := sorted(found & {"manifests", "zone"})):
        raise ConfigError(f"{path} has neither manifests (*.yaml, *.json) nor zone files (db.*)")
    return kinds


def _kind(name: str) -> str:
    if Path(name).suffix in SUFFIXES:
        return "manifests"
    return "zone" if name.startswith("db.") or name.endswith(".zone") else "corefile"


def _check_corefile(path: str, args: argparse.Namespace, report: Report) -> None:
    text = files.read(path)
    blocks = corefile.parse(text, path, load=files.load, environment=os.environ, port=args.port)
    if not blocks:
        report.warnings.append(f"{path} has no server block; as in CoreDNS, whoami is served")
        blocks = corefile.default_blocks(args.port)
    _check_blocks(blocks, report)


def _check_blocks(blocks: tuple[ServerBlock, ...], report: Report) -> None:
    plans = [planned for block in blocks if (planned := _plan(block, report))]
    report.warnings += [warning for planned in plans for warning in planned.warnings]
    if not report.errors:
        _try_start(plans, report)
    report.text += "\n".join(map(_shown, plans))


def _plan(block: ServerBlock, report: Report) -> Plan | None:
    """None for a block with mistakes: the first of each directive comes out, and those of other blocks."""
    try:
        return generation.plan([block])[0]
    except ConfigError as error:
        alone = (replace(block, directives=(each,)) for each in block.directives)
        report.errors += list(filter(None, map(_mistake, alone))) or [str(error)]
        return None


def _mistake(block: ServerBlock) -> str:
    try:
        chain.plan(block)
    except ConfigError as error:
        return str(error)
    return ""


def _try_start(plans: list[Plan], report: Report) -> None:
    """Build what the server would, and read what it reads at start; no API server is asked."""
    accesses = merge(generation.wanted_clusters(plans))
    try:
        clusters = {
            base: WatchedCluster(access, lambda *_: None, lambda *_: None)
            for base, access in accesses.items()
        }
        built = generation.Generation(tuple(plans), clusters, Metrics(), lambda _: None)
        with _logged(report.warnings):
            built.load_zones()
            for access, cluster in clusters.items():
                if isinstance(access, ManifestAccess):
                    asyncio.run(cluster.open())
    except (ConfigError, ManifestError, ZoneFileError) as error:
        report.errors.append(str(error))


class _Kept(logging.Handler):
    """Keeps what is logged as a warning or worse."""

    def __init__(self, texts: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._texts = texts

    def emit(self, record: logging.LogRecord) -> None:
        self._texts.append(record.getMessage())


@contextmanager
def _logged(texts: list[str]) -> Iterator[None]:
    """What the server would log at start is told as all other warnings are."""
    logger, kept = logging.getLogger("kdns"), _Kept(texts)
    logger.addHandler(kept)
    try:
        yield
    finally:
        logger.removeHandler(kept)


def _shown(planned: Plan) -> str:
    """The block as text, its place and the order of its directives before it."""
    order = ", ".join(planned.order) or "nothing, every question is refused"
    return f"# {planned.block.location}: asked in this order: {order}\n{to_text([planned.block])}"


def _check_manifests(path: str, _: argparse.Namespace, report: Report) -> None:
    manifests = ManifestFiles(Path(path))
    manifests.refresh()
    report.errors += manifests.problems
    state = assemble(manifests.declared, Selection(pods=True))
    counts = Counter(kind.value for kind, *_ in state)
    report.text += f"{path}: {_listed(counts) or 'no objects that names are made from'}\n"


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{number} {kind}" for kind, number in sorted(counts.items()))


def _check_zones(path: str, args: argparse.Namespace, report: Report) -> None:
    if not os.path.isdir(path):
        _check_zone_file(origin(args.origin, Path(path).name), path, report)
        return
    for found in _zone_files(Path(path)):
        _check_zone_file(origin("", found.name), str(found), report)


def _zone_files(folder: Path) -> Iterable[Path]:
    found = (Path(at, name) for at, _, inside in os.walk(folder) for name in inside)
    return sorted(path for path in found if _kind(path.name) == "zone")


def origin(option: str, file_name: str) -> Name:
    text = option or file_name.removeprefix("db.").removesuffix(".zone")
    (origin, *more) = corefile.expand_zone(text)
    if more:
        raise ConfigError(f"--origin: {text} is several zones")
    return origin


def _check_zone_file(origin: Name, path: str, report: Report) -> None:
    try:
        zone = zone_loading.load(origin, path).zone
    except ZoneFileError as error:
        report.errors.append(str(error))
        return
    report.warnings += [f"{path}: {warning}" for warning in zone.warnings]
    summary = f"zone {names.to_text(origin)}, serial {zone.serial}, {len(zone)} records"
    report.text += f"{path}: {summary}\n"


_CHECKS: Final[dict[str, Callable[[str, argparse.Namespace, Report], None]]] = {
    "corefile": _check_corefile,
    "manifests": _check_manifests,
    "zone": _check_zones,
}
