# ruff: noqa: E501 (tables: one case, one line)
"""The walk asks what glibc, musl and Go ask, and comes to what they tell their applications."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from kdns.wire.names import is_address
from tests.stub.beside import Case

ROOT = Path(__file__).parents[2]
WEB = "web.shop.svc.c.test."
SHORT = "timeout:1 attempts:1 "

CASES = [
    Case("short name", "web", "ndots:5", {WEB: "10.0.0.1"}),
    Case("both families", "web", "ndots:5", {WEB: "10.0.0.1 fd00::1"}),
    Case("only AAAA", "web", "ndots:5", {WEB: "fd00::1"}),
    Case("the second completion", "db.shop", "ndots:5", {"db.shop.svc.c.test.": "10.0.0.2"}),
    Case("outside, ndots 5", "www.example.org", "ndots:5", {"www.example.org.": "10.0.0.3"}),
    Case("enough dots", "www.example.org", "ndots:2", {"www.example.org.": "10.0.0.3"}),
    Case("enough dots, not there as it is", "db.shop.svc", "ndots:2", {"db.shop.svc.c.test.": "10.0.0.2"}),
    Case("final dot", "web.shop.", "ndots:5", {"web.shop.": "10.0.0.4"}),
    Case("final dot, not there", "web.", "ndots:5"),
    Case("nothing anywhere", "web", "ndots:5"),
    Case("no data on the way", "web", "ndots:5", {WEB: "nodata", "web.c.test.": "10.0.0.5"}),
    Case("no data everywhere", "web", "ndots:5", default="nodata"),
    Case("no data at first, then nothing", "web", "ndots:5", {WEB: "nodata"}),
    Case("default ndots", "web", "", {"web.": "10.0.0.6"}),
    Case("one dot, default ndots", "web.shop", "", {"web.shop.svc.c.test.": "10.0.0.7"}),
    Case("refused, and another server", "web", "ndots:5", {f"127.0.0.1 {WEB}": "refused", WEB: "10.0.0.8"}, servers=("127.0.0.1", "127.0.0.2")),
    Case("server failure on the way", "web", SHORT + "ndots:5", {WEB: "servfail", "web.c.test.": "10.0.0.5"}),
    Case("server failure everywhere", "web", SHORT + "ndots:5", default="servfail"),
    Case("server failure, as it is", "web.shop.", "timeout:1 attempts:2", default="servfail"),
    Case("no reply on the way", "web", SHORT + "ndots:5", {WEB: "drop", "web.c.test.": "10.0.0.5"}),
    Case("no reply as it is", "web.shop.", "timeout:1 attempts:2", default="drop"),
    Case("one silent server", "web", SHORT + "ndots:5", {f"127.0.0.1 {WEB}": "drop", WEB: "10.0.0.8"}, servers=("127.0.0.1", "127.0.0.2")),
]  # fmt: skip
EXACT = {case.id for case in CASES if not case.options.startswith("timeout")}
"""How often a question is repeated is compared too; elsewhere timers decide that by microseconds."""


GETADDRINFO = """
import socket, sys
try:
    print(*{each[4][0] for each in socket.getaddrinfo(sys.argv[1], None)}, sep="\\n")
except socket.gaierror as error:
    print(error)
"""


def build(folder: Path, flavour: str) -> list[str]:
    """The program's command line. Skips, or with CI set fails, where it cannot be had."""
    if os.getuid() or not all(map(shutil.which, ("unshare", "ip", "mount"))):
        absent("root, unshare and ip")
    program = folder / flavour
    if flavour == "glibc":
        program.write_text(GETADDRINFO)
        return [sys.executable, str(program)]
    command = {
        "musl": ["musl-gcc", "-static", "-o", str(program), str(ROOT / "tests/node/resolve.c")],
        "go": ["go", "build", "-o", str(program), str(ROOT / "tests/stub/lookup.go")],
    }[flavour]
    if shutil.which(command[0]) is None:
        absent(command[0])
    subprocess.run(command, check=True, env=os.environ | {"CGO_ENABLED": "0", "GO111MODULE": "off"})
    return [str(program), "ahosts"] if flavour == "musl" else [str(program)]


def absent(what: str) -> None:
    assert os.environ.get("CI") != "true", f"{what}: missing"
    pytest.skip(f"{what}: missing, so nothing is compared")


def run(program: list[str], flavour: str, cases: list[Case]) -> dict[str, list[list[str]]]:
    command = ["unshare", "--net", "--mount", sys.executable, "-m", "tests.stub.beside"]
    ran = subprocess.run(
        [*command, flavour, *program],
        input=json.dumps(msgspec.to_builtins(cases)),
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert ran.returncode == 0, ran.stderr
    found: dict[str, list[list[str]]] = json.loads(ran.stdout)
    return found


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[list[str]]]:
    """All at the same time, since the most of it is waiting; ``FLAVOUR ID``: see ``main`` of ``beside``."""
    folder = tmp_path_factory.mktemp("resolvers")
    programs = {flavour: build(folder, flavour) for flavour in ("glibc", "musl", "go")}
    timed = [case for case in CASES if case.id not in EXACT]
    parts = [[case for case in CASES if case.id in EXACT], timed[::3], timed[1::3], timed[2::3]]
    jobs = [(program, flavour, part) for flavour, program in programs.items() for part in parts]
    with ThreadPoolExecutor(len(jobs)) as pool:
        results = pool.map(lambda job: run(*job), jobs)
        return {
            f"{flavour} {key}": lists
            for (_, flavour, _), found in zip(jobs, results, strict=True)
            for key, lists in found.items()
        }


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.id))
@pytest.mark.parametrize("flavour", ["glibc", "musl", "go"])
def test_a_real_one_does_the_same(
    seen: dict[str, list[list[str]]], flavour: str, case: Case
) -> None:
    asked, got, we_asked, we_got = seen[f"{flavour} {case.id}"]
    assert names(we_asked) == names(asked)
    if case.id in EXACT and len(case.servers) == 1:
        assert Counter(we_asked) == Counter(asked)
    assert told(we_got) == told(got)


def names(asked: list[str]) -> list[str]:
    """The names in order, each with its types: these go out together, and musl asks every server."""
    found: dict[str, set[str]] = {}
    for line in asked:
        _, name, kind = line.split()
        found.setdefault(name, set()).add(kind)
    return [f"{name} {' '.join(sorted(kinds))}" for name, kinds in found.items()]


def told(lines: list[str]) -> list[str]:
    """Addresses without the name that musl's program shows beside, or the words of an error."""
    first = {line.split()[0] for line in lines}
    return sorted(first if all(map(is_address, first)) else {wording(line) for line in lines})


def wording(text: str) -> str:
    """Without number or name; musl has said more exactly since 1.2.4 what it does not find."""
    if "no usable address" in text:
        return "Name does not resolve"
    return re.split(r"\] |: ", text)[-1]
