"""``proxy`` of old Corefiles is what ``forward`` would be."""

from __future__ import annotations

import pytest

from kdns.config.tree import ConfigError
from kdns.plugins import chain
from tests.plugins.chains import block


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("proxy . 192.0.2.1", "forward . 192.0.2.1"),
        ("proxy a.test 192.0.2.1:54 192.0.2.2", "forward a.test 192.0.2.1:54 192.0.2.2"),
        (
            "proxy . 192.0.2.1 {\npolicy first\nmax_fails 4\nexcept b.test\n}",
            "forward . 192.0.2.1 {\npolicy sequential\nmax_fails 4\nexcept b.test\n}",
        ),
        ("proxy . 192.0.2.1 {\nprotocol dns\n}", "forward . 192.0.2.1"),
        (
            "proxy . 192.0.2.1 {\nprotocol dns force_tcp\npolicy least_conn\n}",
            "forward . 192.0.2.1 {\nforce_tcp\npolicy random\n}",
        ),
    ],
)
def test_is_read_as_forward(old: str, new: str) -> None:
    ours, theirs = chain.plan(block(old)), chain.plan(block(new))
    (made,), (expected,) = ours.settings["proxy"], theirs.settings["forward"]
    for field in ("zones", "to", "options", "excepted"):
        assert getattr(made, field) == getattr(expected, field)
    assert ours.warnings == ("Corefile:2: proxy is retired and read as forward; write forward",)


def test_what_has_no_effect_is_said() -> None:
    text = "proxy . 192.0.2.1 {\nspray\nfail_timeout 5s\nhealth_check /health:8080 1s\n}"
    assert chain.plan(block(text)).warnings[1:] == (
        "Corefile:3: spray of proxy has no effect",
        "Corefile:4: fail_timeout of proxy has no effect",
        "Corefile:5: health_check of proxy has no effect",
    )


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("protocol https_google", "3: protocol: only dns and dns force_tcp are there"),
        ("protocol grpc insecure", "3: protocol: only dns and dns force_tcp are there"),
        ("policy best", "3: policy: unknown policy 'best'; expected random,"),
        ("upstream", "3: upstream: unknown option of proxy; known are except, fail_timeout,"),
    ],
)
def test_refusals(option: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        chain.plan(block(f"proxy . 192.0.2.1 {{\n{option}\n}}"))
    assert str(caught.value).startswith(f"Corefile:{message}")
