"""What README, docs/ and examples/try.txt show and say is so: they are run, parsed and compared.

Nothing documented is missing in the program, and nothing in the program is undocumented.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import importlib.util
import os
import re
import shlex
import shutil
import sys
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Final

import pytest
from prometheus_client.parser import text_string_to_metric_families

import kdns
from kdns.cli import coredns, main
from kdns.config import corefile
from kdns.config.tree import ConfigError
from kdns.metrics import Metrics, families
from kdns.metrics.family import Family
from kdns.plugins import ignored, log, log_format, repeats
from kdns.plugins.chain import ORDER, SUPPORTED, Plan
from kdns.records import explain
from kdns.server import generation
from kdns.sources import files
from tests.transcripts import (
    PAGES,
    ROOT,
    Command,
    Snippet,
    commands,
    comparable,
    example_server,
    run,
    snippets,
)

CONFIGURATION: Final = ROOT / "docs" / "configuration.md"
ANSWERS: Final = ROOT / "docs" / "answers.md"
OPERATION: Final = ROOT / "docs" / "operation.md"
TRY: Final = ROOT / "examples" / "try.txt"
TEXTS: Final = (
    *PAGES,
    *(ROOT / at / "README.md" for at in ("deploy", "tests/node")),
    ROOT / "bench" / "RESULTS.md",
)
"""All that people read; commands are run on ``PAGES`` alone."""


# ---- what is on the pages


def sections(page: Path, level: int) -> dict[str, str]:
    """Text by heading."""
    mark = "#" * level
    parts = re.split(rf"^{mark} (.*)$", _prose(page), flags=re.MULTILINE)
    texts = (
        re.split(rf"^#{{1,{level}}} ", text, maxsplit=1, flags=re.MULTILINE)[0]
        for text in parts[2::2]
    )
    return dict(zip(parts[1::2], texts, strict=True))


def _prose(page: Path) -> str:
    """Without fenced blocks, whose comments look like headings."""
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def rows(text: str) -> list[list[str]]:
    """The cells of its tables, without heads."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    found = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return [cells for at, cells in enumerate(found) if not _is_head(found, at)]


def _is_head(found: list[list[str]], at: int) -> bool:
    rule = [set(cells[0]) <= {"-"} and cells[0] != "" for cells in found]
    return rule[at] or (at + 1 < len(found) and rule[at + 1])


def code(cell: str) -> list[str]:
    return [text.replace("\\|", "|") for text in re.findall(r"`([^`]+)`", cell)]


# ---- Corefiles


REFUSED: Final = re.compile(r"\s*# refused: (.*)$", re.MULTILINE)
COREFILES: Final = snippets("corefile")


@pytest.mark.parametrize("snippet", COREFILES, ids=str)
def test_corefiles(snippet: Snippet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    refused = REFUSED.search(snippet.text)
    if refused is None:
        assert plan(snippet.text)
        return
    with pytest.raises(ConfigError) as caught:
        plan(REFUSED.sub("", snippet.text))
    line = snippet.text.count("\n", 0, refused.start(1)) + 1
    assert refused[1] in str(caught.value)
    assert str(caught.value).startswith(f"Corefile:{line}: ")


def plan(text: str) -> tuple[Plan, ...]:
    blocks = corefile.parse(text, "Corefile", load=files.load, environment=os.environ)
    return generation.plan(blocks)


def test_cases_that_are_refused_here() -> None:
    cases = _module(ROOT / "tests" / "config" / "test_coredns_syntax.py").REFUSED_HERE
    table = rows(sections(CONFIGURATION, 3)["Refused here, accepted by CoreDNS"])
    assert [cells[0] for cells in table] == [case.name for case in cases]


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


# ---- directives and their options


DIRECTIVES: Final = sections(CONFIGURATION, 3)
WORD: Final = re.compile(r"[a-z_][a-z_0-9]*")


def test_directives() -> None:
    documented = [name for name in DIRECTIVES if re.fullmatch(r"[a-z_0-9]+", name)]
    assert sorted(documented) == sorted(SUPPORTED.keys() - ignored.DIRECTIVES.keys())


def test_directives_without_effect() -> None:
    told = {code(name)[0]: why for name, why in rows(DIRECTIVES["Without effect"])}
    assert told == ignored.DIRECTIVES
    assert all(name in text for text in corefiles_with("multisocket") for name in told)


def test_directives_that_are_not_there() -> None:
    assert set(code(DIRECTIVES["Not there"])) == set(ORDER) - SUPPORTED.keys()


def test_directives_that_may_stand_several_times() -> None:
    text = CONFIGURATION.read_text()
    told = {
        r"- (`acl`[^.]*)\[without effect\][^.]* may stand several times": repeats.SEVERAL
        - ignored.DIRECTIVES.keys(),
        r"Of ([^.]*) the first line counts": repeats.FIRST,
        r"counts; those of\s+([^.]*) are read as one": repeats.JOINED,
    }
    for pattern, directives in told.items():
        (named,) = re.findall(pattern, text)
        assert set(code(named)) == directives


def test_corefiles_of_distributions() -> None:
    """Those that the README names are accepted, and no other is."""
    (named,) = re.findall(r"the Corefiles as they are: ([^.]*)\.", PAGES[0].read_text())
    found = (ROOT / "tests" / "config" / "corefiles").glob("*.Corefile")
    accepted = {path.stem for path in found if _is_accepted(path.read_text())}
    assert set(named.lower().replace(",", "").split()) == accepted


def _is_accepted(text: str) -> bool:
    try:
        return bool(plan(text))
    except ConfigError:
        return False


@pytest.mark.parametrize("directive", sorted(SUPPORTED.keys() - ignored.DIRECTIVES.keys()))
def test_options(directive: str) -> None:
    if directive not in DIRECTIVES:
        pytest.fail(f"docs/configuration.md has no section {directive}")
    documented = set(documented_options(directive))
    assert documented == options_in_source(directive)


@pytest.mark.parametrize("directive", sorted(SUPPORTED.keys() & DIRECTIVES.keys()))
def test_options_are_shown(directive: str) -> None:
    """Each in a Corefile, which ``test_corefiles`` tries: accepted ones, and those that are refused."""
    texts = corefiles_with(directive)
    shown = {word for text in texts for word in option_words(text, directive)}
    assert set(documented_options(directive)) <= shown | _bare(directive)


def _bare(directive: str) -> set[str]:
    """``tls`` of a ``kubernetes`` endpoint and the like are all shown; hosts lines have no name."""
    return {"ADDRESS"} if directive == "hosts" else set()


def documented_options(directive: str) -> Iterator[str]:
    for cells in rows(DIRECTIVES[directive]):
        for text in code(cells[0]):
            if WORD.match(text):
                yield WORD.match(text)[0]  # type: ignore[index]


def corefiles_with(directive: str) -> list[str]:
    return [s.text for s in COREFILES if s.page == CONFIGURATION.name and directive in s.text]


def option_words(text: str, directive: str) -> Iterator[str]:
    """The options of a directive, or its arguments, which for some are options on one line."""
    try:
        blocks = corefile.parse(REFUSED.sub("", text), load=files.load, environment=os.environ)
    except ConfigError:
        return
    for block in blocks:
        for one in block.named(directive):
            yield from (*one.args, *(option.name for option in one.options))


def options_in_source(directive: str) -> set[str]:
    """What the directive's modules look the name of an option up in, or compare it with."""
    found: set[str] = set()
    for path in _sources(directive):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        names = vars(importlib.import_module(module))
        tables = _TABLES & names.keys() if "parse" in names else set()
        found.update(word for table in tables for word in names[table])
        for node in ast.walk(ast.parse(path.read_text())):
            found |= _names_compared(node)
    return found


_TABLES: Final = {"_OPTIONS", "_IGNORED", "_PARSERS", "_SORTS", "_TRANSLATED", "ACTIONS"}
"""In the module that has ``parse``; elsewhere the words may be others."""


def _sources(directive: str) -> list[Path]:
    own = ROOT / "kdns" / "plugins" / directive
    return sorted(own.glob("*.py")) if own.is_dir() else [own.with_suffix(".py")]


def _names_compared(node: ast.AST) -> set[str]:
    found: list[ast.expr | None] = []
    match node:
        case ast.Compare(left=ast.Attribute(attr="name"), comparators=compared):
            found += compared
        case ast.Match(subject=ast.Attribute(attr="name"), cases=cases):
            patterns = (each for case in cases for each in ast.walk(case.pattern))
            found += [each.value for each in patterns if isinstance(each, ast.MatchValue)]
        case ast.AnnAssign(target=ast.Name("rules"), value=ast.Dict(keys=keys)):
            found += keys
        case _:
            pass
    constants = (each.value for each in found if isinstance(each, ast.Constant))
    return {value for value in constants if isinstance(value, str)}


def test_placeholders_of_log() -> None:
    shown = re.findall(r"`(\{[^`/]+\})`", DIRECTIVES["log"])
    known = {f"{{{name}}}" for name in (*log_format.PLACEHOLDERS, "common", "combined")}
    assert set(shown) == known
    assert log.COMBINED.startswith(log.COMMON)


# ---- flags and commands


def parser_of(command: str) -> argparse.ArgumentParser:
    if command == "coredns":
        return coredns._parser()
    parser = argparse.ArgumentParser(allow_abbrev=False)
    importlib.import_module(f"kdns.cli.{command}").add_arguments(parser)
    return parser


@pytest.mark.parametrize("command", [*main.COMMANDS, "coredns"])
def test_flags(command: str) -> None:
    """Those that are options of ``kdns serve`` too may be told of there alone."""
    heading = "CoreDNS flags" if command == "coredns" else f"kdns {command}"
    (section,) = (found[heading] for page in PAGES if heading in (found := sections(page, 2)))
    table = rows(section)
    documented = {text.split()[0] for cells in table for text in code(cells[0]) if text[0] == "-"}
    known = parser_of(command)._option_string_actions
    assert documented <= known.keys()
    shared = {"help"} | (_shared() if command not in {"serve", "coredns"} else set())
    undocumented = {a.dest for a in known.values()} - {known[name].dest for name in documented}
    assert undocumented - shared == set()


def _shared() -> set[str]:
    return {action.dest for action in parser_of("serve")._option_string_actions.values()}


@pytest.mark.parametrize("command", commands("kdns"), ids=str)
def test_command_lines_parse(command: Command) -> None:
    _, *words = shlex.split(command.text.partition(" | ")[0])
    if words[0] in main.COMMANDS:
        main.parse(words)
    else:
        coredns._parser().parse_args(words)


CHECKS: Final = [c for c in commands("kdns") if c.text.startswith("kdns check") and c.output]


@pytest.mark.parametrize("command", CHECKS, ids=str)
def test_checks(
    command: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    assert main.main(shlex.split(command.text)[1:]) == 0
    assert capsys.readouterr().out.splitlines() == list(command.output)


# ---- questions


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The server of ``make run``, on a port of its own."""
    with example_server(tmp_path_factory.mktemp("documentation")) as found:
        yield found


def run_shown(text: str, port: int) -> list[str]:
    """dig is one of the tests' programs; where it is missing, nothing is compared."""
    if text.startswith("dig") and shutil.which("dig") is None:
        assert os.environ.get("CI") != "true", "dig is missing"
        pytest.skip("dig is missing: transcripts are not compared")
    return run(text, port)


@pytest.mark.parametrize("command", commands("dig"), ids=str)
def test_every_question_by_dig_has_its_output(command: Command) -> None:
    assert command.runs
    assert "@127.0.0.1 -p 1053 " in command.text


TRANSCRIPTS: Final = [c for c in commands("dig") + commands("kdns") if c.runs]


@pytest.mark.parametrize("command", TRANSCRIPTS, ids=str)
def test_transcripts(command: Command, port: int) -> None:
    """Where programs print something else now: ``python -m tests.transcripts``, and read the difference."""
    assert comparable(run_shown(command.text, port)) == comparable(command.output)


LINES: Final = re.findall(r"^ +(dig \S.*?)(?: {3,}(.*))?$", TRY.read_text(), re.MULTILINE)


@pytest.mark.parametrize(("line", "comment"), LINES)
def test_lines_to_try(line: str, comment: str, port: int) -> None:
    said = "\n".join(run_shown(line, port))
    assert len(LINES) >= 5
    if "not resolve" in comment:
        assert "status: NXDOMAIN" in said
        assert "; EDE: " in said
    else:
        assert "status: NOERROR" in said
        assert ";; ANSWER SECTION:" in said


def test_reasons() -> None:
    """Every text that is fixed but for names; the others are shown in transcripts."""
    told = " ".join(code(_prose(ANSWERS)))
    for text in explain._FIXED.values():
        shown = text.replace("{service}", "NAMESPACE/SERVICE")
        shown = shown.replace("{asked.namespace}", "NAMESPACE")
        assert shown.replace("{asked.service}", "10-0-0-1") in told


def spoken() -> Iterator[str]:
    """The fixed parts of the Extended DNS Errors that are put into words where they are made."""
    for path in (ROOT / "kdns").rglob("*.py"):
        if not re.search(r"\b(because|ExtendedError)\(", path.read_text()):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Assign(targets=[ast.Name("text")], value=value):
                    said = [value]
                case ast.Call(
                    func=ast.Name("because" | "ExtendedError" | "_negative" | "_refused"), args=said
                ):
                    pass
                case _:
                    continue
            parts = (part for each in said for part in ast.walk(each))
            constants = (part.value for part in parts if isinstance(part, ast.Constant))
            yield from (text.strip(" :;") for text in constants if isinstance(text, str))


def test_reasons_of_directives() -> None:
    told = " ".join(code(_prose(ANSWERS)))
    texts = {text for text in spoken() if " " in text}
    assert "is not in the hosts file, and nothing else is asked" in texts
    untold = {text for text in texts if text not in told}
    assert untold == {"no server block here is for this name: REFUSED"}, "but for an explanation's"


# ---- metrics and log lines


def counted() -> set[str]:
    """The families that some code counts; one that is only named is not there for anybody."""
    used: set[str] = set()
    for path in (ROOT / "kdns").rglob("*.py"):
        if path.name != "families.py":
            used.update(re.findall(r"families\.([A-Z_0-9]+)", path.read_text()))
    every = {name: f.name for name, f in vars(families).items() if isinstance(f, Family)}
    return {every[name] for name in used & every.keys()} | {f.name for f in families.FROM_METERS}


@cache
def documented_metrics() -> Mapping[str, list[str]]:
    table = rows(sections(OPERATION, 2)["Metrics"])
    return {code(cells[0])[0]: cells[1:] for cells in table}


def test_metrics() -> None:
    known = {family.name for family in families.FAMILIES}
    assert documented_metrics().keys() <= known
    assert counted() - documented_metrics().keys() == set()


@pytest.mark.parametrize("family", families.FAMILIES, ids=lambda family: str(family.name))
def test_labels(family: Family) -> None:
    if family.name in documented_metrics():
        kind, labels, _ = documented_metrics()[family.name]
        assert (kind, tuple(code(labels))) == (family.kind, family.labels)


def test_exposed_metrics_are_known() -> None:
    """What a scrape shows is ours, or of the Prometheus client's that the page names."""
    known = {family.name.removesuffix("_total") for family in families.FAMILIES}
    exposed = text_string_to_metric_families(Metrics().expose().decode())
    others = {metric.name for metric in exposed} - known
    assert all(re.match(r"process_|python_gc_|python_info", name) for name in others), others


def log_formats() -> list[re.Pattern[str]]:
    formats = []
    for path in (ROOT / "kdns").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name(id="log" | "logger"))):
                    texts = (a.value for a in node.args if isinstance(a, ast.Constant))
                    formats += [_as_pattern(text) for text in texts if isinstance(text, str)]
                case _:
                    pass
    return formats


def _as_pattern(text: str) -> re.Pattern[str]:
    parts = re.split(r"%[.\d]*[sdrgf]", text)
    return re.compile(".+".join(map(re.escape, parts)))


def test_log_lines() -> None:
    """Each sample is of a line that the program has; one that says nothing by itself counts not."""
    telling = [pattern for pattern in log_formats() if re.search(r"[a-z]{3}", pattern.pattern)]
    for cells in rows(sections(OPERATION, 2)["Log"]):
        (sample,) = code(cells[0])
        text = re.fullmatch(r"\[(?:INFO|WARNING|ERROR)\] (.*)", sample)
        assert text, sample
        assert any(pattern.fullmatch(text[1]) for pattern in telling), sample


# ---- links and versions


LINK: Final = re.compile(r"\]\((?!https?://)([^)#\s]*)(?:#([^)\s]+))?\)")


TEXT_IDS: Final = [str(page.relative_to(ROOT)) for page in TEXTS]


@pytest.mark.parametrize("page", TEXTS, ids=TEXT_IDS)
def test_rows_of_a_table_have_the_cells_of_its_head(page: Path) -> None:
    tables = re.findall(r"(?:^\|.*\n)+", _prose(page), re.MULTILINE)
    for table in tables:
        head, *others = [len(re.split(r"(?<!\\)\|", line)) for line in table.splitlines()]
        assert set(others) == {head}, table


@pytest.mark.parametrize("page", TEXTS, ids=TEXT_IDS)
def test_links(page: Path) -> None:
    broken = []
    for path, anchor in LINK.findall(_prose(page)):
        target = (page.parent / path) if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(f"{path}#{anchor}")
    assert broken == []


def anchors(page: Path) -> set[str]:
    """As GitHub makes them from headings."""
    headings = re.findall(r"^#+ (.*)$", _prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}


def test_every_page_is_linked_from_the_readme() -> None:
    linked = {path for path, _ in LINK.findall(PAGES[0].read_text())}
    pages = {str(page.relative_to(ROOT)) for page in PAGES[1:]}
    assert pages <= linked


def test_changelog_has_this_version() -> None:
    versions = re.findall(r"^## \[(\d[^\]]*)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0] == kdns.__version__


def test_python_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    version = project["requires-python"].removeprefix(">=")
    assert f"Python {version} or newer" in PAGES[0].read_text()
