"""``tls``: its words. What it does is seen in ``tests/server/test_tls.py``."""

from __future__ import annotations

import pytest

from kdns.config import corefile
from kdns.config.tree import ConfigError
from kdns.plugins import tls
from kdns.plugins.tls import Settings
from kdns.server import generation
from tests.plugins.chains import block, refusal, settings


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tls a b", Settings("a", "b")),
        ("tls a b c", Settings("a", "b", "c")),
        ("tls a b {\nclient_auth nocert\n}", Settings("a", "b")),
        (
            "tls a b c {\nclient_auth verify_if_given\n}",
            Settings("a", "b", "c", "verify_if_given"),
        ),
    ],
)
def test_words(text: str, expected: Settings) -> None:
    assert settings(text) == expected


@pytest.mark.parametrize("mode", ["request", "require"])
def test_modes_that_are_not_what_they_are_elsewhere(mode: str) -> None:
    found = settings(f"tls a b {{\nclient_auth {mode}\n}}")
    assert isinstance(found, Settings)
    (warning,) = found.warnings
    assert warning.startswith(f"Corefile:3: client_auth {mode}: ")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("tls", "2: tls: takes a certificate and its key"),
        ("tls a", "got 1 arguments"),
        ("tls a b c d", "got 4 arguments"),
        ("tls a b {\nclient_auth\n}", "3: client_auth: takes exactly one argument, got 0"),
        (
            "tls a b {\nclient_auth maybe\n}",
            "3: client_auth: unknown mode 'maybe'; expected nocert",
        ),
        ("tls a b {\nciphers x\n}", "3: ciphers: unknown option of tls; known are client_auth"),
        ("tls {\nacme a.test\n}", "2: tls: certificates are not fetched by ACME here"),
        ("tls a b\ntls a b", "3: tls: is there already"),
    ],
)
def test_refusals(text: str, reason: str) -> None:
    assert reason in refusal(text)


def test_paths_start_at_root() -> None:
    found = settings("tls a /b c {\nkeylog k\n}")
    assert isinstance(found, Settings)
    rooted = tls.rooted_settings(found, block("root /etc\ntls a /b c"))
    assert rooted == Settings("/etc/a", "/b", "/etc/c", keylog="/etc/k")


def test_tls_keys_need_it() -> None:
    blocks = corefile.parse("tls://a.test {\nwhoami\n}", "Corefile")
    with pytest.raises(ConfigError, match=r"1: tls://a\.test\. needs the directive tls"):
        generation.plan(blocks)
