# ruff: noqa: E501  (a table row per case reads best on one line)
"""``file`` and ``auto``: their options, and what a chain with them answers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import cast

import pytest

from kdns.config import corefile
from kdns.config.tree import ConfigError, Option, ServerBlock
from kdns.plugins import auto, file
from kdns.plugins.interface import Context, Handler, Offer
from kdns.plugins.zones import Fallthrough
from kdns.records.index import Index
from kdns.sources.zone_folder import Folder, NamedFiles
from kdns.sources.zonefiles import ZoneFiles
from kdns.status import SourceStatus
from kdns.wire.constants import Class, ErrorCode, Rcode, Type
from kdns.wire.message import Answer, Edns, Query, Record
from kdns.wire.names import Name, from_text, wire_from_text

NEXT = Answer(rcode=Rcode.REFUSED, plugin="next", keys=frozenset({("next",)}))


class Server:
    """A server with one block: chains, and stores that are loaded at once."""

    def __init__(self, block: ServerBlock) -> None:
        self.block = block
        self.handler: Handler = passed
        self.asked: list[Query] = []
        self.elsewhere: Answer | None = None
        self.offers: list[Offer] = []

    def zone_files(self, files: Iterable[tuple[Name, str]], reload: float) -> ZoneFiles:
        return self._store(ZoneFiles(NamedFiles(files), reload, lambda keys: None))

    def zone_folder(
        self, folder: str, pattern: str, template: str, origins: tuple[Name, ...], reload: float
    ) -> ZoneFiles:
        listing = Folder(folder, pattern, template, origins)
        return self._store(ZoneFiles(listing, reload, lambda keys: None))

    def _store(self, store: ZoneFiles) -> ZoneFiles:
        store.load()
        return store

    async def resolve(self, query: Query) -> Answer:
        self.asked.append(query)
        return self.elsewhere or await self.handler(query)

    def cluster(self, access: object) -> tuple[Index, SourceStatus]:
        raise AssertionError("no zone file needs a cluster")

    def now(self) -> float:
        return 0.0

    def local_addresses(self) -> tuple[str, ...]:
        return ()


async def passed(query: Query) -> Answer:
    return NEXT


def serve(text: str) -> Server:
    (block,) = corefile.parse(text, "Corefile")
    server = Server(block)
    context = cast("Context", server)  # nothing else is asked for here
    handler: Handler = passed
    for option in reversed(list(block.named("auto"))):
        handler = auto.wrap(auto.parse(option), handler, context)
    for option in reversed(list(block.named("file"))):
        handler = file.wrap(file.parse(option), handler, context)
    server.handler = handler
    return server


def question(text: str, qclass: int = Class.IN, edns: bool = True) -> Query:
    name, qtype = text.split()
    return Query(
        qname=wire_from_text(name),
        name=from_text(name),
        qtype=Type[qtype],
        qclass=qclass,
        edns=Edns() if edns else None,
    )


def ask(server: Server, text: str, qclass: int = Class.IN, edns: bool = True) -> Answer:
    return asyncio.run(_wait(server, question(text, qclass, edns)))


async def _wait(server: Server, query: Query) -> Answer:
    return await server.handler(query)


ZONE = """
@ 60 SOA ns host 5 2 3 4 30
@ 60 NS ns
ns 60 A 192.0.2.1
www 60 CNAME ns
out 60 CNAME x.other.test.
b.ent 60 TXT x
*.wild 60 A 192.0.2.2
"""


@pytest.fixture
def zone(tmp_path: Path) -> Path:
    path = tmp_path / "example.org.zone"
    path.write_text(ZONE)
    return path


def option(text: str) -> Option:
    (block,) = corefile.parse(f"example.org {{\n{text}\n}}\n", "Corefile")
    return block.directives[0]


SETTINGS = {
    "file alone": ("file db", file.Settings("db")),
    "file and zones": ("file db org 10.0.0.0/15", file.Settings("db", (("org",), ("0", "10", "in-addr", "arpa"), ("1", "10", "in-addr", "arpa")))),
    "file options": ("file db {\nreload 1m30s\nfallthrough a.org\n}", file.Settings("db", reload=90, fallthrough=Fallthrough((("a", "org"),)))),
    "file never": ("file db {\nreload 0\n}", file.Settings("db", reload=0)),
    "file retired": ("file db {\nupstream\n}", file.Settings("db", warnings=("Corefile:3: file: upstream has no effect: it is retired",))),
    "auto alone": ("auto {\ndirectory d\n}", auto.Settings("d")),
    "auto whole": (r"auto org {" + "\ndirectory d (.*)\\.zone {1}.org\nreload 5s\n}", auto.Settings("d", (("org",),), r"(.*)\.zone", "{1}.org", 5)),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), SETTINGS.values(), ids=SETTINGS.keys())
def test_settings(text: str, expected: file.Settings | auto.Settings) -> None:
    directive = option(text)
    parse = file.parse if directive.name == "file" else auto.parse
    assert parse(directive) == expected


REFUSED = {
    "file alone": ("file", "2: file: takes a zone file, and the zones it is for"),
    "file option": ("file db {\nrelod 5s\n}", "3: relod: unknown option of file; known are reload, fallthrough"),
    "file reload": ("file db {\nreload 5\n}", "3: reload: '5' is not a duration; write it as in 5s, 250ms, 1h30m"),
    "file reload in the past": ("file db {\nreload -5s\n}", "3: reload: cannot be negative, got -5s"),
    "file zone": ("file db a..b", "2: not a zone: 'a..b' has an empty label"),
    "auto alone": ("auto", "2: auto: needs a line 'directory DIR' with the folder of the zone files"),
    "auto option": ("auto {\nfallthrough\n}", "3: fallthrough: unknown option of auto; known are directory, reload"),
    "auto words": ("auto {\ndirectory d (.*)\n}", "3: directory: takes a folder, or a folder, a regular expression and an origin template"),
    "auto pattern": ("auto {\ndirectory d ( {1}\n}", "3: directory: '(' is not a regular expression: "),
    "auto group": ("auto {\ndirectory d db.* {1}\n}", "3: directory: 'db.*' needs a group in parentheses, which becomes the zone"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_refused(text: str, message: str) -> None:
    directive = option(text)
    with pytest.raises(ConfigError) as caught:
        (file.parse if directive.name == "file" else auto.parse)(directive)
    assert str(caught.value).startswith(f"Corefile:{message}")


def test_an_answer_says_where_it_is_from(zone: Path) -> None:
    answer = ask(serve(f"example.org {{\nfile {zone}\n}}"), "www.example.org A")
    assert [record.rtype for record in answer.answer] == [Type.CNAME, Type.A]
    assert (answer.rcode, answer.authoritative, answer.plugin) == (Rcode.NOERROR, True, "file")
    assert answer.keys == {("zone", "example.org.")}
    assert answer.errors == ()


def test_a_negative_answer_says_why_to_who_speaks_edns(zone: Path) -> None:
    server = serve(f"example.org {{\nfile {zone}\n}}")
    (error,) = ask(server, "www2.example.org A").errors
    assert error.code == ErrorCode.OTHER
    text = f"there is no www2.example.org. in zone example.org. ({zone}, serial 5)"
    assert error.text == text[:199]
    assert ask(server, "www2.example.org A", edns=False).errors == ()


def test_other_zones_are_passed_on(zone: Path) -> None:
    server = serve(f". {{\nfile {zone} example.org\n}}")
    assert ask(server, "example.net A") is NEXT


@pytest.mark.parametrize(
    ("text", "qclass"), [("example.org AXFR", 1), ("example.org IXFR", 1), ("www.example.org A", 3)]
)
def test_what_a_zone_does_not_do_is_refused(zone: Path, text: str, qclass: int) -> None:
    answer = ask(serve(f"example.org {{\nfile {zone}\n}}"), text, qclass)
    assert (answer.rcode, answer.answer, answer.authoritative) == (Rcode.REFUSED, (), False)


def test_a_zone_that_is_not_loaded_is_a_failure(tmp_path: Path) -> None:
    answer = ask(serve(f"example.org {{\nfile {tmp_path}/later\n}}"), "example.org A")
    assert answer.rcode == Rcode.SERVFAIL
    assert answer.keys == {("zone", "example.org.")}
    assert answer.errors[0].code == ErrorCode.NOT_READY


def test_the_longest_zone_of_all_file_directives_answers(zone: Path, tmp_path: Path) -> None:
    (tmp_path / "org").write_text("@ 60 SOA ns host 9 2 3 4 5\n@ 60 NS ns\n*.example 60 TXT x\n")
    server = serve(f". {{\nfile {tmp_path}/org org\nfile {zone} example.org\n}}")
    assert ask(server, "example.org SOA").answer[0].owner == wire_from_text("example.org.")
    assert ask(server, "x.example.org TXT").rcode == Rcode.NXDOMAIN
    assert ask(server, "org SOA").answer


def test_the_parent_zone_answers_for_the_ds(zone: Path, tmp_path: Path) -> None:
    parent = "@ 60 SOA ns host 9 2 3 4 5\nexample 60 NS ns\nexample 60 DS 1 8 2 00\n"
    (tmp_path / "db.org").write_text(parent)
    zone.rename(tmp_path / "db.example.org")
    server = serve(f". {{\nauto {{\ndirectory {tmp_path}\n}}\n}}")
    assert [record.rtype for record in ask(server, "example.org DS").answer] == [Type.DS]


FALLTHROUGH = {
    "no such name": ("no.example.org A", "next"),
    "empty non-terminal": ("ent.example.org A", "next"),
    "apex": ("example.org A", "next"),
    "apex's own": ("example.org NS", "file"),
    "no such type": ("ns.example.org TXT", "file"),
    "a name": ("ns.example.org A", "file"),
    "not below the zones named": ("no.wild.other.example.org A", "next"),
}


@pytest.mark.parametrize(("text", "plugin"), FALLTHROUGH.values(), ids=FALLTHROUGH.keys())
def test_fallthrough(zone: Path, text: str, plugin: str) -> None:
    answer = ask(serve(f"example.org {{\nfile {zone} {{\nfallthrough\n}}\n}}"), text)
    assert answer.plugin == plugin
    assert ("zone", "example.org.") in answer.keys  # the name may come into being


def test_fallthrough_of_some_names(zone: Path) -> None:
    server = serve(f"example.org {{\nfile {zone} {{\nfallthrough a.example.org\n}}\n}}")
    assert ask(server, "x.a.example.org A").plugin == "next"
    assert ask(server, "x.b.example.org A").plugin == "file"


@pytest.mark.parametrize(
    ("fallthrough", "asked", "expected"),
    [
        ("fallthrough", "gone.example.org A", "NOERROR CNAME A"),
        ("fallthrough", "far.example.org A", "NOERROR CNAME CNAME A"),
        ("fallthrough", "within.example.org A", "NOERROR CNAME A"),
        ("fallthrough b.example.org", "gone.example.org A", "NXDOMAIN CNAME"),
        ("", "gone.example.org A", "NXDOMAIN CNAME"),
    ],
)
def test_an_alias_to_a_name_that_falls_through(
    zone: Path, fallthrough: str, asked: str, expected: str
) -> None:
    """Asked for itself, that name is the next directive's: behind an alias it is, too."""
    zone.write_text(ZONE + "gone 60 CNAME no\nfar 60 CNAME gone\nwithin 60 CNAME ent\n")
    server = serve(f"example.org {{\nfile {zone} {{\n{fallthrough}\n}}\n}}")
    server.elsewhere = Answer(answer=(ADDRESS,))
    answer = ask(server, asked)
    types = [Type(record.rtype).name for record in answer.answer]
    assert " ".join([Rcode(answer.rcode).name, *types]) == expected
    found = answer.rcode == Rcode.NOERROR
    assert [record.rtype for record in answer.authority] == ([] if found else [Type.SOA])
    assert (answer.errors == ()) == found


ADDRESS = Record(wire_from_text("x.other.test."), Type.A, 30, b"\xc0\0\2\7")
SOA = Record(wire_from_text("other.test."), Type.SOA, 30, b"\0\0" + bytes(20))
CHASED = {
    "found": (Answer(answer=(ADDRESS,), keep_until=9.0), Rcode.NOERROR, [Type.CNAME, Type.A], Type.NS),
    "no such name": (Answer(Rcode.NXDOMAIN, authority=(SOA,)), Rcode.NXDOMAIN, [Type.CNAME], Type.SOA),
    "no such type": (Answer(authority=(SOA,)), Rcode.NOERROR, [Type.CNAME], Type.SOA),
    "not ours": (Answer(Rcode.REFUSED, authoritative=False), Rcode.NOERROR, [Type.CNAME], Type.NS),
    "nobody's": (Answer(Rcode.SERVFAIL, handled=False), Rcode.NOERROR, [Type.CNAME], Type.NS),
    "failed": (Answer(Rcode.SERVFAIL), Rcode.SERVFAIL, [Type.CNAME], None),
}  # fmt: skip


@pytest.mark.parametrize(
    ("found", "rcode", "types", "authority"), CHASED.values(), ids=CHASED.keys()
)
def test_an_alias_is_followed_through_the_server(
    zone: Path, found: Answer, rcode: int, types: list[int], authority: int | None
) -> None:
    server = serve(f"example.org {{\nfile {zone}\n}}")
    server.elsewhere = Answer(
        **{f: getattr(found, f) for f in found.__struct_fields__ if f != "keys"},
        keys=frozenset({("svc", "n", "s")}),
    )
    answer = ask(server, "out.example.org A")
    assert (answer.rcode, [record.rtype for record in answer.answer]) == (rcode, types)
    assert [record.rtype for record in answer.authority][:1] == ([authority] if authority else [])
    assert answer.keys == {("zone", "example.org."), ("svc", "n", "s")}
    assert answer.keep_until == found.keep_until
    (asked,) = server.asked
    assert (asked.name, asked.transport) == (("x", "other", "test"), "internal")
    assert asked.followed == (("out", "example", "org"), ("x", "other", "test"))


def test_auto_answers_below_its_origins(zone: Path, tmp_path: Path) -> None:
    zone.rename(tmp_path / "db.example.org")
    server = serve(f". {{\nauto wild.example.org {{\ndirectory {tmp_path}\n}}\n}}")
    answer = ask(server, "x.wild.example.org A")
    assert (answer.plugin, len(answer.answer)) == ("auto", 1)
    assert answer.keys == {("zone", "example.org."), ("zones",)}
    assert ask(server, "ns.example.org A") is NEXT


def test_what_auto_passes_on_is_asked_again_when_a_zone_comes(tmp_path: Path) -> None:
    answer = ask(serve(f". {{\nauto {{\ndirectory {tmp_path}\n}}\n}}"), "example.org A")
    assert answer.plugin == "next"
    assert answer.keys == {("next",), ("zones",)}
