"""The Corefiles in the READMEs of CoreDNS's own plugins, all of which CoreDNS starts with: so does kdns."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from kdns.config import corefile
from kdns.config.tree import ConfigError
from kdns.plugins.chain import ORDER, SUPPORTED
from kdns.server.generation import plan

BUILD: Final = Path(__file__).parents[1] / "cluster" / "binaries" / "build.sh"
SNIPPET: Final = re.compile(r"^(?:~~~|```) *corefile\n(.*?)^(?:~~~|```)", re.MULTILINE | re.DOTALL)
MISSING: Final = set(ORDER) - SUPPORTED.keys()
REFUSED: Final = {
    "quic:// upstreams are not supported": "forward",
    "https:// upstreams are not supported": "forward",
    "catalog zones (RFC 9432) are not supported": "secondary",
}
"""What is refused besides whole directives, and the directive in whose README it stands."""


@pytest.fixture(scope="module")
def snippets() -> list[tuple[str, str]]:
    """Plugin and Corefile."""
    if shutil.which("go") is None:
        pytest.skip("the READMEs come with CoreDNS's source, which go fetches; go is not installed")
    (version,) = re.findall(r"^coredns=(\S+)", BUILD.read_text(), re.MULTILINE)
    done = subprocess.run(
        ["go", "mod", "download", "-json", f"github.com/coredns/coredns@{version}"],
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
        env={**os.environ, "GOFLAGS": "-mod=mod"},
    )
    readmes = sorted(Path(json.loads(done.stdout)["Dir"], "plugin").glob("*/README.md"))
    return [
        (each.parent.name, text) for each in readmes for text in SNIPPET.findall(each.read_text())
    ]


@pytest.mark.timeout(120)  # go may have to fetch the source
def test_readmes(snippets: list[tuple[str, str]], capsys: pytest.CaptureFixture[str]) -> None:
    refusals = {}
    for at, (plugin, text) in enumerate(snippets):
        try:
            blocks = corefile.parse(text, "Corefile", load=_nothing, environment={"PORT": "9253"})
            plan(blocks)
        except ConfigError as error:
            refusals[f"{plugin} {at}"] = str(error)
    accepted = len(snippets) - len(refusals)
    with capsys.disabled():
        print(
            f"\n  {accepted} Corefiles of CoreDNS's READMEs are accepted, {len(refusals)} are not"
        )
    unexpected = {place: why for place, why in refusals.items() if not _is_known(place, why)}
    assert not unexpected
    assert accepted >= 90


def _nothing(pattern: str, importing_file: str) -> list[tuple[str, str]]:
    return []


def _is_known(place: str, why: str) -> bool:
    """Whether a directive is said to be missing that is, or an option that is listed here."""
    plugin = place.split(maxsplit=1)[0]
    absent = re.search(r"directive (\w+) of CoreDNS is not supported", why)
    return (absent is not None and absent[1] in MISSING) or any(
        words in why and owner == plugin for words, owner in REFUSED.items()
    )
