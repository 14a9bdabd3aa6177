"""A node for the whole run, with kdns's image built from the Dockerfile. Asked for by ``make node-test``."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.node import building, images, places
from tests.node.node import Node

ASKED_FOR: Final = os.environ.get("KDNS_NODE_TEST") == "1"

collect_ignore_glob = [] if ASKED_FOR else ["test_*.py"]
"""Not a part of the ordinary tests: minutes, root, and several hundred megabytes of programs."""

_SECONDS: Final = 300
_HERE: Final = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _HERE in item.path.parents and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(_SECONDS, func_only=True))


@pytest.fixture(scope="session")
def say(request: pytest.FixtureRequest) -> Say:
    return Say(request.config)


class Say:
    """Figures are a part of the result: they are printed, whatever the tests say."""

    def __init__(self, config: pytest.Config) -> None:
        self._capture = config.pluginmanager.getplugin("capturemanager")
        self._terminal = config.get_terminal_writer()

    def __call__(self, text: str) -> None:
        with self._capture.global_and_fixture_disabled():
            self._terminal.line(f"\n{text}")


@pytest.fixture(scope="session")
def image(say: Say) -> Path:
    """An archive of the image; the store of buildah has it as ``places.KDNS``."""
    start = time.monotonic()
    archive = building.build(places.ROOT, places.KDNS)
    say(f"image: built in {time.monotonic() - start:.0f} s")
    return archive


@pytest.fixture(scope="session")
def node(image: Path, say: Say) -> Iterator[Node]:
    """A ready Node with all images, and nothing deployed."""
    subprocess.run([places.HERE / "programs.sh"], check=True, stdin=subprocess.DEVNULL)
    node = Node()
    start = time.monotonic()
    try:
        node.start(images.provide(), image)
        say(f"node: up in {time.monotonic() - start:.0f} s")
        yield node
    finally:
        node.stop()


@pytest.fixture(scope="session")
def clients(node: Node) -> Node:
    """The node with the Pods that ask, and with what they ask for."""
    node.apply((places.HERE / "objects" / "clients.yaml").read_text())
    node.kubectl(
        "wait", "--for=condition=Ready", "--timeout=60s", "pod/musl", "pod/glibc", "pod/web"
    )
    node.kubectl("-n", "other", "wait", "--for=condition=Ready", "--timeout=60s", "pod/web")
    node.kubectl("rollout", "status", "statefulset/db", "--timeout=60s")
    return node
