"""``kdns query``: what an application gets for a name, and each question that this takes.

Starts quickly: nothing of the server is imported.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from kdns.cli import serve, servers
from kdns.cli.telling import Teller, conclude, ignore, to_json
from kdns.config import flags
from kdns.config.addresses import Address
from kdns.config.tree import ConfigError
from kdns.stub import resolver_config
from kdns.stub.flavours import FLAVOURS
from kdns.stub.resolver_config import ResolverConfig
from kdns.stub.walk import ADDRESSES, Result, walk
from kdns.wire.constants import Type
from kdns.wire.names import BadNameError, is_address, reverse, to_text, wire_from_text
from kdns.wire.presentation import rdata_text
from kdns.wire.scalars import class_number, type_number

EXAMPLES: Final = """\
examples:
  kdns query web.shop                                    as this machine's resolv.conf says
  kdns query web --namespace shop @10.96.0.10            as in a Pod of the namespace
  kdns query web --pod shop/web-0                        as in this Pod, whatever its dnsConfig says
  kdns query web --namespace shop --manifests deploy.yaml    what a server with just these would say
  kdns query web --namespace shop --resolver musl @::1 -p 1053
  kdns query _http._tcp.web.shop.svc.cluster.local. SRV @127.0.0.1 +short
  kubectl exec -n shop web-0 -- cat /etc/resolv.conf | kdns query web --resolv-conf -
"""

DEFAULT_FILE: Final = "/etc/resolv.conf"
_NUMBERS: Final = ("ndots", "timeout", "attempts")
OURS: Final = Address("127.0.0.1", 0)
"""A server of our own, made from manifests; its port is known when it runs."""
MAX_BYTES: Final = 64 * 1024
"""Of a resolv.conf; the C library takes far less."""


class Question(Struct, frozen=True):
    """The words of a command line that stand without an option."""

    name: str
    qtypes: tuple[int, ...] = ADDRESSES
    server: str = ""
    short: bool = False


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the command's arguments."""
    parser.epilog = EXAMPLES
    parser.add_argument("--json", action="store_true", help="print everything as one JSON document")
    changes = add_question(parser)
    changes.add_argument("--timeout", metavar="N", help="seconds for each attempt, 1 to 30")
    changes.add_argument("--attempts", metavar="N", help="attempts at each question, 1 to 5")


def add_question(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """What is asked, and as whom; ``question`` and ``resolver`` read it.

    Returns the group of what that resolver does.
    """
    parser.add_argument(
        "words",
        nargs="*",
        metavar="NAME [TYPE] [@SERVER] [+short]",
        help="in any order, as for dig; without TYPE both A and AAAA; +short: say less",
    )
    parser.add_argument(
        "-x", dest="address", metavar="ADDRESS", help="ask for the name of an address (PTR)"
    )
    servers.add_port(parser, "the servers' port")
    _add_place(parser.add_argument_group("as whom to ask"))
    changes = parser.add_argument_group("how to ask")
    _add_changes(changes)
    serve.add_sources(
        parser.add_argument_group(
            "where --pod is looked up; manifests are also what is asked without @SERVER"
        )
    )
    return changes


def _add_place(group: argparse._ArgumentGroup) -> None:
    place = group.add_mutually_exclusive_group()
    place.add_argument(
        "-n", "--namespace", default="", metavar="NS", help="as a Pod in this namespace"
    )
    place.add_argument("--pod", default="", metavar="NS/NAME", help="as this Pod")
    place.add_argument(
        "--resolv-conf",
        default="",
        metavar="FILE",
        help=f"as this file says, - for standard input (default: {DEFAULT_FILE})",
    )
    group.add_argument(
        "--zone",
        default="cluster.local",
        metavar="ZONE",
        help="the cluster's zone (default: %(default)s)",
    )


def _add_changes(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--resolver",
        choices=list(FLAVOURS),
        default="glibc",
        help="whose resolver to imitate (default: %(default)s)",
    )
    group.add_argument("--search", metavar="ZONES", help="another search list, with commas")
    group.add_argument(
        "--ndots", metavar="N", help="names with fewer dots are completed first, 0 to 15"
    )


def run(options: argparse.Namespace) -> int:
    """Ask and tell. Returns 0 where the application gets something, else 1."""
    asked = question(options)
    if is_address(asked.name) and not options.address:
        print(f"{asked.name} is an address: no question is asked")
        return 0
    conf = resolver(options, asked)
    conf, result = asyncio.run(_walk(options, asked, conf))
    if options.json:
        print(to_json(result, conf, options.resolver))
    elif asked.short:
        print("".join(f"{rdata_text(each.rtype, each.rdata)}\n" for each in result.records), end="")
    else:
        conclude(result)
    return 0 if result.records else 1


async def _walk(
    options: argparse.Namespace, asked: Question, conf: ResolverConfig
) -> tuple[ResolverConfig, Result]:
    """Also who was asked in the end."""
    quiet = asked.short or options.json
    report = ignore if quiet else Teller().show
    async with asking(options, conf) as known:
        if not quiet:
            made = f", made from {options.manifests}" if known is not conf else ""
            print(f"; as {options.resolver} does: {known.told()}{made}")
        flavour = FLAVOURS[options.resolver]
        return known, await walk(asked.name, asked.qtypes, known, flavour, report)


@asynccontextmanager
async def asking(
    options: argparse.Namespace, conf: ResolverConfig
) -> AsyncIterator[ResolverConfig]:
    """With a server of our own in it for as long as this lasts, where manifests are to be asked."""
    if conf.servers != (OURS,):
        yield conf
        return
    from kdns.cli import configured

    zones = [options.zone, *flags.REVERSE_ZONES]
    given = {**vars(options), "zone": zones, "listen": [str(OURS)], "conf": ""}
    async with configured.serving(argparse.Namespace(**given)) as address:
        yield replace(conf, servers=(address,))


# ---- the question


def question(options: argparse.Namespace) -> Question:
    """Raises ``ConfigError`` for words that are no question."""
    servers_named = [word for word in options.words if word.startswith("@")]
    flags = [word for word in options.words if word.startswith("+")]
    words = [word for word in options.words if word[:1] not in {"@", "+"}]
    if unknown := [flag for flag in flags if flag != "+short"]:
        raise ConfigError(f"{unknown[0]}: only +short is known here")
    if len(servers_named) > 1:
        raise ConfigError(f"{servers_named[1]}: one server is enough")
    if options.address:
        if names := [word for word in words if not _is_type(word)]:
            raise ConfigError(f"{names[0]!r}: either a name or -x ADDRESS")
        return Question(_reverse(options.address), (Type.PTR,), "".join(servers_named), bool(flags))
    name, qtypes = _name_and_types(words)
    return Question(name, qtypes, "".join(servers_named), bool(flags))


def _reverse(text: str) -> str:
    try:
        return to_text(reverse(text))
    except ValueError:
        raise ConfigError(f"-x {text}: not an IP address") from None


def _name_and_types(words: list[str]) -> tuple[str, tuple[int, ...]]:
    """A word that is a type or class is a name only where there is no other."""
    names = [word for word in words if not _is_type(word) and class_number(word) is None]
    names = names or words[:1]
    if len(names) != 1:
        problem = (
            f"{names[1]!r} is not a record type, and {names[0]!r} is the name already."
            if names
            else "which name?"
        )
        raise ConfigError(f"{problem} Expected NAME [TYPE] [@SERVER]")
    rest = list(words)
    rest.remove(names[0])
    try:
        wire_from_text(names[0])
    except BadNameError as error:
        raise ConfigError(str(error)) from None
    types = tuple(type_number(word) for word in rest if _is_type(word))
    return names[0], types or ADDRESSES


def _is_type(word: str) -> bool:
    try:
        return bool(type_number(word))
    except ValueError:
        return False


# ---- the resolver


def resolver(options: argparse.Namespace, asked: Question) -> ResolverConfig:
    """Raises ``ConfigError`` where nobody is to be asked."""
    if not options.pod and (options.kubeconfig or options.context or options.in_cluster):
        raise ConfigError("an API server is only asked for a Pod: name it by --pod NS/NAME")
    server = (OURS,) if options.manifests else ()
    if asked.server:
        server = (servers.read(asked.server, options.port),)
    conf = _given(options, server)
    conf = replace(conf, servers=server or conf.servers)
    if options.search is not None:
        zones = options.search.replace(",", " ").split()
        conf = replace(conf, search=tuple(zone.strip(".") for zone in zones))
    for option in _NUMBERS:
        conf = _with_number(conf, option, getattr(options, option, None))
    if not conf.servers:
        raise ConfigError("no server to ask: name one, such as @10.96.0.10")
    for zone in conf.search:
        try:
            wire_from_text(f"{zone}.")
        except BadNameError as error:
            raise ConfigError(f"search: {error}") from None
    return conf


def _with_number(conf: ResolverConfig, option: str, value: str | None) -> ResolverConfig:
    if value is None:
        return conf
    if not value.isascii() or not value.isdigit():
        raise ConfigError(f"--{option}: expected a number, found {value!r}")
    return resolver_config.with_option(conf, f"{option}:{value}")


def _given(options: argparse.Namespace, server: tuple[Address, ...]) -> ResolverConfig:
    if options.pod:
        from kdns.cli import pods

        conf = pods.read(options, server, lambda: _read(DEFAULT_FILE, 53))
        ours = tuple(replace(each, port=options.port) for each in conf.servers)
        return replace(conf, servers=ours)
    if options.namespace:
        local = server or _read(DEFAULT_FILE, options.port).servers
        return resolver_config.in_namespace(options.namespace, options.zone.strip("."), local)
    if server and not options.resolv_conf and not Path(DEFAULT_FILE).exists():
        return ResolverConfig()
    return _read(options.resolv_conf or DEFAULT_FILE, options.port)


def _read(path: str, port: int) -> ResolverConfig:
    try:
        if path == "-":
            text = sys.stdin.read(MAX_BYTES)
        else:
            with open(path, "rb") as file:
                text = file.read(MAX_BYTES).decode("utf-8", "replace")
    except OSError as error:
        raise ConfigError(f"cannot read {path!r}: {error.strerror}") from None
    return resolver_config.parse(text, port)
