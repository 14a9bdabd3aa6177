# ruff: noqa: E501 (a table: one case, one line)
"""The same Corefiles given to CoreDNS and to kdns: what one starts with, the other parses."""

from __future__ import annotations

import os
import re
import subprocess
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from kdns.config.corefile import parse
from kdns.config.tree import ConfigError, ServerBlock
from kdns.sources.files import load
from kdns.wire import names
from tests.cluster.processes import free_dns_port

COREDNS: Final = (
    Path(os.environ.get("KDNS_CACHE", "~/.cache/kdns")).expanduser() / "bin" / "coredns"
)
READY: Final = "CoreDNS-"
ENVIRONMENT: Final = {"ZONE": "env.test", "LIST": "a.test b.test", "DIRECTIVE": "errors"}
FILES: Final = {
    "block.conf": "imported.test {\n bind 127.0.0.1\n whoami\n}\n",
    "lines.conf": "errors\nlog\n",
    "half.conf": "log {\n class error\n",
    "options.conf": "class denial error\n",
    "keys.conf": "one.test two.test",
    "self.conf": "import self.conf\n",
    "left.conf": "import right.conf\n",
    "right.conf": "import left.conf\n",
    "sub/outer.conf": "import inner.conf\n",
    "sub/inner.conf": "whoami\n",
    "many/1.conf": "errors\n",
    "many/2.conf": "whoami\n",
}


class Case(NamedTuple):
    name: str
    text: str
    coredns: bool
    """Whether CoreDNS starts with it."""
    differs: str = ""
    """Why kdns decides otherwise, on purpose."""


BODY: Final = "{\n bind 127.0.0.1\n whoami\n}\n"

CASES: Final = [
    Case("plain block", f". {BODY}", True),
    Case("several blocks", f"a.test {BODY}b.test {BODY}", True),
    Case("second block on the line of the brace", f"a.test {BODY.strip()} b.test {BODY}", True),
    Case("keys by white space", f"a.test b.test {BODY}", True),
    Case("keys by commas", f"a.test, b.test {BODY}", True),
    Case("keys over lines", f"a.test,\n\nb.test {BODY}", True),
    Case("keys over lines without comma", f"a.test\nb.test {BODY}", False),
    Case("comma before the brace", f"a.test, {BODY}", False),
    Case("comma at the end", "a.test,", False),
    Case("comma alone", f"a.test , {BODY}", False),
    Case("brace on the next line", f"a.test\n{BODY}", True),
    Case("first directive beside the brace", "a.test { whoami\n bind 127.0.0.1\n}\n", True),
    Case("one-line block", "a.test { whoami }\n", False),
    Case("one-line block of two lines", "a.test {\n bind 127.0.0.1\n whoami }\n", False),
    Case("no braces", "a.test\nbind 127.0.0.1\nwhoami\n", True),
    Case("no braces, options in braces", "a.test\nbind 127.0.0.1\nlog {\nclass error\n}\n", True),
    Case("brace is never closed", "a.test {\n bind 127.0.0.1\n whoami\n", False),
    Case("inner brace is never closed", "a.test {\n log {\n class error\n", False),
    Case("two closing braces on a line", "a.test {\n log {\n  class error\n } }\n", False),
    Case("empty inner braces", "a.test {\n bind 127.0.0.1\n errors { }\n}\n", True),
    Case("inner line beside the brace", "a.test {\n bind 127.0.0.1\n log { class all\n }\n}\n", True),
    Case("inner one-line braces", "a.test {\n bind 127.0.0.1\n log { class all }\n}\n", False),
    Case("quoted words", 'a.test {\n bind "127.0.0.1"\n log "." "{type} \\"{name}\\""\n}\n', True),
    Case("quote over lines", 'a.test {\n bind 127.0.0.1\n log . "a\nb" {\n class all\n }\n}\n', True),
    Case("quoted brace is a brace", f'a.test "{{"\n{BODY[2:]}', True),
    Case("quoted key", f'"a.test" {BODY}', True),
    Case("word behind a quote", 'a.test {\n bind 127.0.0.1\n log "."x\n}\n', True),
    Case("comments", f"# one\na.test {{ # two\n# }}\n{BODY[2:]}# three", True),
    Case("comment glued to a word", "a.test {\n bind 127.0.0.1\n whoami#all\n}\n", True),
    Case("byte order mark, CR LF", f"\ufeffa.test {BODY}".replace("\n", "\r\n"), True),
    Case("port", f"a.test:0 {BODY}", True),
    Case("port is not a number but empty", f"a.test: {BODY}", False),
    Case("port without zone", f":0 {BODY}", False),
    Case("port too large", f"a.test:65536 {BODY}", False),
    Case("scheme dns", f"dns://a.test {BODY}", True),
    Case("empty label", f"a..test {BODY}", False),
    Case("label too long", f"{'a' * 64}.test {BODY}", False),
    Case("name too long", f"{'abcdefg.' * 33}test {BODY}", False),
    Case("network", f"10.0.0.0/8 {BODY}", True),
    Case("network in the middle of an octet", f"10.0.0.0/20 {BODY}", True),
    Case("network of IPv6 in the middle of a nibble", f"2001:db8::/33 {BODY}", True),
    Case("network of IPv6 beginning with a colon", f"::/8 {BODY}", False),
    Case("the same zone twice in a block", f"a.test A.test. {BODY}", False),
    Case("the same zone in two blocks", f"a.test {BODY}a.test {BODY}", False),
    Case("the same zone on two ports", f"a.test:0 a.test:{free_dns_port()} {BODY}", True),
    Case("part of a network twice", f"10.0.0.0/15 {BODY}1.10.in-addr.arpa {BODY}", False),
    Case("the same zone, other address", f"a.test {BODY}a.test {BODY.replace('0.1', '0.2')}", True),
    Case("the same zone, bound and unbound", f"a.test {BODY}a.test {{\n whoami\n}}\n", False),
    Case("variable as key", f"{{$ZONE}} {BODY}", True),
    Case("Windows variable in a key", f"x.{{%ZONE%}}:0 {BODY}", True),
    Case("variable as directive", "a.test {\n bind 127.0.0.1\n {$DIRECTIVE}\n}\n", True),
    Case("unset variable in a name", f"a.{{$UNSET}}.test {BODY}", False),
    Case("default value as port", f"a.test:{{$PORT:0}} {BODY}", False),
    Case("snippet", f"(s) {{\n errors\n}}\na.test {{\n import s\n{BODY[2:]}", True),
    Case("snippet on one line", f"(s) {{ errors }}\na.test {{\n import s\n{BODY[2:]}", True),
    Case("snippet of options", "(s) {\n class all\n}\na.test {\n bind 127.0.0.1\n log {\n  import s\n }\n}\n", True),
    Case("snippet in a snippet", f"(s) {{\n errors\n}}\n(t) {{\n import s\n}}\na.test {{\n import t\n{BODY[2:]}", True),
    Case("snippet of a block", f"(s) {{\n a.test {BODY}}}\nimport s\n", True),
    Case("snippet defined later", f"a.test {{\n import s\n{BODY[2:]}(s) {{\n errors\n}}\n", False),
    Case("snippet defined twice", f"(s) {{\n errors\n}}\n(s) {{\n log\n}}\na.test {BODY}", False),
    Case("snippet without braces", f"(s)\nerrors\na.test {BODY}", False),
    Case("snippet importing itself", f"(s) {{\n import s\n}}\na.test {BODY}", False),
    Case("snippets in a circle", f"(s) {{\n import t\n}}\n(t) {{\n import s\n}}\na.test {{\n import s\n{BODY[2:]}", False),
    Case("snippets in a circle outside of blocks", "(s) {\n import t\n}\n(t) {\n import s\n}\nimport s\na.test {\n}\n", False),
    Case("import beside the brace", f"(s) {{\n errors\n}}\na.test {{ import s\n{BODY[2:]}", True),
    Case("import beside an inner brace", "(s) {\n class all\n}\na.test {\n log { import s\n }\n}\n", False),
    Case("import of a file", "import block.conf\n", True),
    Case("import of lines", f"a.test {{\n import lines.conf\n{BODY[2:]}", True),
    Case("import of half a directive", f"a.test {{\n import half.conf\n }}\n{BODY[2:]}", True),
    Case("import of options", "a.test {\n bind 127.0.0.1\n log {\n  import options.conf\n }\n}\n", True),
    Case("import of keys", f"import keys.conf\n{BODY}", True),
    Case("import relative to the file", "a.test {\n bind 127.0.0.1\n import sub/outer.conf\n}\n", True),
    Case("import of a glob", "a.test {\n bind 127.0.0.1\n import many/*.conf\n}\n", True),
    Case("import of an empty glob", f"import none/*.conf\na.test {{\n import *.none\n{BODY[2:]}", True),
    Case("import of a missing file", f"a.test {{\n import none.conf\n{BODY[2:]}", False),
    Case("import of a folder", f"a.test {{\n import many\n{BODY[2:]}", False),
    Case("import of nothing", f"a.test {{\n import\n{BODY[2:]}", False),
    Case("import of two", f"a.test {{\n import lines.conf sub/inner.conf\n{BODY[2:]}", False),
    Case("import of an unset variable", f"a.test {{\n import {{$UNSET}}\n{BODY[2:]}", False),
    Case("import with two wildcards", "import */*.conf\n", False),
    Case("import with a set of letters", "import [ab].conf\n", False),
    Case("files in a circle", "import left.conf\n", False),
    Case("file importing itself", "import self.conf\n", False),
]  # fmt: skip

REFUSED_HERE: Final = [
    Case("stray brace", f"a.test {BODY}}} {BODY}", True, "a '}' too many becomes the zone '}.'"),
    Case("last brace is missing", "a.test {\n bind 127.0.0.1\n log {\n  class error\n }\n", True, "any last '}' closes the block"),
    Case("no key", f"{{\n whoami\n}}\na.test {BODY}", True, "a block without keys vanishes"),
    Case("unset variable as key", f"{{$UNSET}} {{\n}}\na.test {BODY}", True, "likewise"),
    Case("variable with spaces", f"{{$LIST}} {BODY}", True, "the zone 'a.test b.test.'"),
    Case("comma without space", f"a.test,b.test {BODY}", True, "the zone 'a.test,b.test.'"),
    Case("port is a word", f"a.test:dns {BODY}", True, "the zone 'a.test:dns.'"),
    Case("unknown scheme", f"dsn://a.test {BODY}", True, "the zone 'dsn://a.test.'"),
    Case("brace glued to the key", "a.test{\n bind 127.0.0.1\n whoami\n}\n", True, "the zone 'a.test{.'"),
    Case("network of 33 bits", f"10.0.0.0/33 {BODY}", True, "the zone '10.0.0.0/33.'"),
    Case("brace on the line after a directive", "a.test {\n bind 127.0.0.1\n whoami\n {\n }\n}\n", True, "the braces are ignored"),
    Case("quote is never closed", 'a.test\nbind 127.0.0.1\nlog . "x\n', True, "the rest of the file is its text"),
    Case("default value as argument", 'a.test {\n bind 127.0.0.1\n log . "{$X:y}"\n}\n', True, "the argument is empty"),
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corefiles")
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return folder


@pytest.fixture(scope="module")
def coredns(folder: Path) -> Mapping[str, list[str]]:
    """What CoreDNS said, by case."""
    if not COREDNS.exists():
        assert os.environ.get("CI") != "true", f"{COREDNS} is missing"
        pytest.skip(f"{COREDNS} is missing: not compared with CoreDNS")
    cases = CASES + REFUSED_HERE
    with ThreadPoolExecutor(2) as pool:
        results = pool.map(lambda numbered: run_coredns(folder, *numbered), enumerate(cases))
        return {case.name: said for case, said in zip(cases, results, strict=True)}


def run_coredns(folder: Path, number: int, case: Case) -> list[str]:
    """The lines that it prints until it is ready, that is, names its version; or until it ends."""
    file = folder / f"Corefile-{number}"
    file.write_bytes(case.text.encode())
    command = [str(COREDNS), "-conf", file.name, "-dns.port", "0"]
    said: list[str] = []
    with subprocess.Popen(
        command, cwd=folder, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True,
    ) as process:  # fmt: skip
        watchdog = threading.Timer(60, process.kill)
        watchdog.start()
        assert process.stdout
        for line in process.stdout:
            said.append(line)
            if line.startswith(READY):
                process.kill()
                break
        watchdog.cancel()
    return said


@pytest.mark.parametrize("case", CASES + REFUSED_HERE, ids=lambda case: case.name)
def test_coredns_decides(case: Case, coredns: Mapping[str, list[str]]) -> None:
    said = coredns[case.name]
    assert said, "nothing within a minute"
    assert said[-1].startswith(READY) == case.coredns, said[-1]


@pytest.mark.parametrize("case", CASES + REFUSED_HERE, ids=lambda case: case.name)
def test_kdns_decides(case: Case, folder: Path) -> None:
    if case.coredns and not case.differs:
        assert read(case, folder)
        return
    with pytest.raises(ConfigError) as caught:
        read(case, folder)
    assert caught.value.location
    assert caught.value.location.line


ACCEPTED: Final = [case for case in CASES if case.coredns]


@pytest.mark.parametrize("case", ACCEPTED, ids=lambda case: case.name)
def test_both_serve_the_same_zones(
    case: Case, folder: Path, coredns: Mapping[str, list[str]]
) -> None:
    """CoreDNS prints each zone with its port, and the address that it is bound to."""
    served = [line.split()[0] for line in coredns[case.name] if re.match(r"\S+:[0-9]+( |$)", line)]
    keys = [key for block in read(case, folder) for key in block.keys]
    assert sorted(served) == sorted(f"{names.to_text(key.zone)}:{key.port}" for key in keys)


def read(case: Case, folder: Path) -> tuple[ServerBlock, ...]:
    file = str(folder / "Corefile")
    return parse(case.text, file, load=load, environment=ENVIRONMENT, port=0)
