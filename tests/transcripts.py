"""Console blocks of README and docs/: read, run beside a server, compared, and written anew.

``python -m tests.transcripts`` runs each command that is shown with an output and puts what it prints now
in its place; a test compares instead. In a new block "…" stands for the output. Commands run in the
project's folder against the server of ``make run``; what they change there is undone by nobody.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from tests.cluster.processes import Process

ROOT: Final = Path(__file__).parents[1]
PAGES: Final = (ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md")))

RUN: Final = ("dig", *(f"kdns {name}" for name in ("query", "explain", "dump", "diff", "wait")))
"""Beginnings of commands that end by themselves and change nothing."""
FENCED: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Snippet(NamedTuple):
    """A fenced block."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


class Command(NamedTuple):
    """A line after ``$`` in a console block, and what it is shown to print."""

    place: str
    text: str
    output: tuple[str, ...]

    def __str__(self) -> str:
        return self.place

    @property
    def runs(self) -> bool:
        """Whether its output is compared."""
        return bool(self.output) and self.text.startswith(RUN)


def snippets(language: str) -> list[Snippet]:
    return [s for page in PAGES for s in fenced(page) if s.language == language]


def fenced(page: Path) -> Iterator[Snippet]:
    text = page.read_text()
    for found in FENCED.finditer(text):
        yield Snippet(page.name, text.count("\n", 0, found.start()) + 1, found[1], found[2])


def commands(program: str) -> list[Command]:
    found = [command for snippet in snippets("console") for command in shown_in(snippet)]
    return [command for command in found if command.text.split()[0] == program]


def shown_in(snippet: Snippet) -> Iterator[Command]:
    for part in re.split(r"^\$ ", snippet.text, flags=re.MULTILINE)[1:]:
        line, *output = part.rstrip("\n").split("\n")
        yield Command(str(snippet), line.partition("  #")[0].rstrip(), tuple(output))


# ---- running


@contextmanager
def example_server(folder: Path) -> Iterator[int]:
    """The server of ``make run`` on a port of its own, which is given; its log goes to ``folder``."""
    log_file = folder / "log"
    line = next(x for x in (ROOT / "Makefile").read_text().splitlines() if "kdns serve" in x)
    _, *args = shlex.split(line.strip().removeprefix("@exec "))
    words = [str(ROOT / word) if (ROOT / word).exists() else word for word in args]
    server = Process([sys.executable, "-m", "kdns", *words, "--listen", "127.0.0.1:0"], log_file)
    listening = re.compile(r"listening on 127\.0\.0\.1:(\d+) ")
    try:
        server.wait_ready(lambda: bool(listening.search(log_file.read_text())), 60)
        found = listening.search(log_file.read_text())
        assert found
        yield int(found[1])
    finally:
        assert server.stop() == 0


def run(text: str, port: int) -> list[str]:
    """Run a command line in a shell, as a reader would; 1053 is where the server listens."""
    line = re.sub(r"(-p |127\.0\.0\.1:)1053\b", rf"\g<1>{port}", text)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    ran = subprocess.run(
        ["bash", "-c", line],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        cwd=ROOT,
        env=os.environ | {"PATH": path},
    )
    said = re.sub(rf"127\.0\.0\.1:(0|{port})\b", "127.0.0.1:1053", ran.stdout)
    return said.replace(f"{ROOT}/", "").splitlines()


_VARYING: Final = [
    (re.compile(pattern), put)
    for pattern, put in (
        (r"id: \d+", "id: 0"),
        (r"\d+(\.\d+)? ms\b", "0 ms"),
        (r"\d+(\.\d+)? s\b", "0 s"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME"),
        (r"\b1[789]\d{8}\b", "SERIAL"),
    )
]


_ADDRESSES: Final = re.compile(r"[0-9a-f.:]+(?:, [0-9a-f.:]+)+")


def _sorted(found: re.Match[str]) -> str:
    return ", ".join(sorted(found[0].split(", ")))


def comparable(lines: Iterable[str]) -> list[str]:
    """Without what differs from run to run: message IDs, times, the order of lines and of fields."""
    cleaned = []
    for line in lines:
        text = " ".join(line.split())
        for pattern, put in _VARYING:
            text = pattern.sub(put, text)
        cleaned.append(_ADDRESSES.sub(_sorted, text))
    return sorted(filter(None, cleaned))


# ---- writing


def rewritten(page: Path, port: int) -> str:
    """The text of a page with outputs as they are now; what only varies stays as it stands."""

    def block(found: re.Match[str]) -> str:
        if found[1] != "console":
            return found[0]
        parts = re.split(r"^(\$ .*\n)", found[2], flags=re.MULTILINE)
        for at in range(1, len(parts), 2):
            (command,) = shown_in(Snippet("", 0, "", parts[at] + parts[at + 1]))
            if command.runs:
                lines = run(command.text, port)
                if comparable(lines) != comparable(command.output):
                    parts[at + 1] = "".join(f"{line}\n" for line in lines)
        return f"```console\n{''.join(parts)}```"

    return FENCED.sub(block, page.read_text())


def main() -> None:
    """Write all pages anew, and name those that have changed."""
    with tempfile.TemporaryDirectory() as folder, example_server(Path(folder)) as port:
        for page in PAGES:
            text = rewritten(page, port)
            if text != page.read_text():
                page.write_text(text)
                print(page.relative_to(ROOT))


if __name__ == "__main__":
    main()
