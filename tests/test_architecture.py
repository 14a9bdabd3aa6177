"""Rules about the code itself: who may import whom, how long a module is, what is listed completely."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Final

import pytest
import yaml

from kdns.config.access import ApiAccess
from kdns.plugins import chain, ignored
from kdns.sources.resources import watched

ROOT: Final = Path(__file__).parents[1]
MODULES: Final = sorted((ROOT / "kdns").rglob("*.py"))

MAX_LINES: Final = 350
"""Of a module. One that grows beyond has two purposes."""


def test_import_contracts() -> None:
    """In a process of its own, for it looks at files and not at what is imported here."""
    script = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())"
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "0 broken" in ran.stdout


@pytest.mark.parametrize("page", ["docs/architecture.md", "kdns/__init__.py"])
def test_layers_are_told_as_they_are(page: str) -> None:
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (layers,) = (c["layers"] for c in linter["contracts"] if c["type"] == "layers")
    told = " ".join((ROOT / page).read_text().split())
    assert " > ".join(layer for layer in layers if layer != "__main__") in told


def test_modules_are_short() -> None:
    lines = {str(path.relative_to(ROOT)): path.read_text().count("\n") for path in MODULES}
    assert len(lines) > 50
    assert {name: count for name, count in lines.items() if count > MAX_LINES} == {}


def test_modules_say_what_they_are_for() -> None:
    assert [str(path) for path in MODULES if not path.read_text().startswith(('"""', 'r"""'))] == []


def test_every_directive_is_in_the_chain() -> None:
    """A module with ``parse(directive)`` and ``Settings`` is one; those without effect share one."""
    found = {
        name for name, text in _plugins() if re.search(r"^def parse\(directive", text, re.MULTILINE)
    }
    assert found - {"ignored"} == chain.SUPPORTED.keys() - ignored.DIRECTIVES.keys()


def _plugins() -> list[tuple[str, str]]:
    folder = ROOT / "kdns" / "plugins"
    files = [(path.stem, [path]) for path in folder.glob("*.py")]
    files += [(path.name, [*path.glob("*.py")]) for path in folder.iterdir() if path.is_dir()]
    return [(name, "\n".join(path.read_text() for path in paths)) for name, paths in files]


def test_order_holds_every_directive_once() -> None:
    assert chain.SUPPORTED.keys() <= set(chain.ORDER)
    assert len(set(chain.ORDER)) == len(chain.ORDER)


def test_documented_rights_are_those_used() -> None:
    page = (ROOT / "docs" / "operation.md").read_text()
    (text,) = re.findall(
        r"^```yaml\n(.*?kind: ClusterRole\n.*?)^```$", page, re.MULTILINE | re.DOTALL
    )
    granted = {
        (group, resource, verb)
        for rule in yaml.safe_load(text)["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    used = {(*_resource(each.path), verb) for each in watched(_EVERYTHING) for verb in _verbs()}
    assert granted == used


_EVERYTHING: Final = ApiAccess(pods=True)


def _resource(path: str) -> tuple[str, str]:
    """API group and plural name: ``/api/v1/services``, ``/apis/discovery.k8s.io/v1/endpointslices``."""
    match path.strip("/").split("/"):
        case ["api", _, plural]:
            return "", plural
        case ["apis", group, _, plural]:
            return group, plural
        case _:
            pytest.fail(f"{path} is not at cluster scope")


def _verbs() -> set[str]:
    text = (ROOT / "kdns" / "sources" / "watch.py").read_text()
    verbs = set(re.findall(r'_request\(transport, resource, "(\w+)"', text))
    assert verbs
    return verbs
