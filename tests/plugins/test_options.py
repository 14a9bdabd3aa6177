"""What the small directives accept, and the exact words for what they do not."""

from __future__ import annotations

import logging
from types import ModuleType

import pytest

from kdns.config.addresses import Address
from kdns.config.corefile import parse as parse_corefile
from kdns.config.tree import ConfigError, Option
from kdns.plugins import (
    bind,
    chaos,
    debug,
    errors,
    health,
    loadbalance,
    log,
    prometheus,
    ready,
    whoami,
)

PLUGINS: dict[str, ModuleType] = {
    plugin.__name__.rpartition(".")[2]: plugin
    for plugin in (
        *(bind, chaos, debug, errors, health, loadbalance, log, prometheus, ready, whoami),
    )
}


def directive(text: str) -> Option:
    """The first directive of a block whose second line is the first of ``text``."""
    (block,) = parse_corefile(". {\n" + text + "\n}", "Corefile")
    return block.directives[0]


def settings(text: str) -> object:
    option = directive(text)
    return PLUGINS[option.name].parse(option)


P = errors.Pattern
ALL = frozenset({"all"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("errors", errors.Settings()),
        ("errors stdout", errors.Settings()),
        ("errors {\nstacktrace\n}", errors.Settings(stacktrace=True)),
        (
            'errors {\nconsolidate 1m error\nconsolidate 5s "a b" warning show_first\n}',
            errors.Settings(
                patterns=(P(60.0, "error"), P(5.0, "a b", logging.WARNING, show_first=True))
            ),
        ),
        (
            "errors {\nconsolidate 1m x debug\n}",
            errors.Settings(False, (P(60, "x", logging.DEBUG),)),
        ),
        ("errors {\nconsolidate 1m x info\n}", errors.Settings(False, (P(60, "x", logging.INFO),))),
        (
            "errors {\nconsolidate 1m x show_first\n}",
            errors.Settings(False, (P(60, "x", 40, True),)),
        ),
        ("health", health.Settings(Address("", 8080))),
        ("health localhost:8091", health.Settings(Address("localhost", 8091))),
        ("health {\nlameduck 1s\n}", health.Settings(lameduck=1.0)),
        ("ready", ready.Settings(Address("", 8181))),
        ("ready [::1]:8181", ready.Settings(Address("::1", 8181))),
        ("ready {\nmonitor continuously\n}", ready.Settings(continuously=True)),
        ("ready {\nmonitor until-ready\n}", ready.Settings(continuously=False)),
        ("prometheus", prometheus.Settings(Address("localhost", 9153))),
        ("prometheus :9153", prometheus.Settings(Address("", 9153))),
        ("prometheus {\nruntime_metrics\n}", prometheus.Settings(runtime_metrics=True)),
        ("whoami", whoami.Settings()),
        ("chaos", chaos.Settings()),
        ("chaos v1", chaos.Settings(b"v1")),
        ("chaos v1 b a b", chaos.Settings(b"v1", (b"a", b"b"))),
        ("chaos " + "v" * 300, chaos.Settings(b"v" * 255)),
        ("loadbalance", loadbalance.Settings()),
        ("loadbalance round_robin", loadbalance.Settings()),
        ("log", log.Settings()),
        ("log example.org", log.Settings((log.Rule(("example", "org")),))),
        ("log . {combined}", log.Settings((log.Rule((), log.COMBINED),))),
        ('log . "{type} {common}"', log.Settings((log.Rule((), "{type} " + log.COMMON),))),
        (
            'log a.example b.example "{name}" {\nclass denial error\nclass success\n}',
            log.Settings(
                tuple(
                    log.Rule((x, "example"), "{name}", frozenset({"denial", "error", "success"}))
                    for x in "ab"
                )
            ),
        ),
        ("log . {\nclass all\n}", log.Settings((log.Rule((), log.COMMON, ALL),))),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_options_are_read(text: str, expected: object) -> None:
    assert settings(text) == expected


LEVELS = "warning, error, info, debug or show_first"
CLASSES = "success, denial, error, all"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("errors e.txt", "2: errors: takes no argument but 'stdout', got 'e.txt'"),
        ("errors a b", "2: errors: takes no argument but 'stdout', got 'a b'"),
        (
            "errors {\nlog x\n}",
            "3: log: not an option of errors; expected stacktrace or consolidate",
        ),
        (
            "errors {\nconsolidate\n}",
            "3: consolidate: expected DURATION REGEX [LEVEL] [show_first]",
        ),
        (
            "errors {\nconsolidate 1m\n}",
            "3: consolidate: expected DURATION REGEX [LEVEL] [show_first]",
        ),
        (
            "errors {\nconsolidate 1 .*\n}",
            "3: consolidate: '1' is not a duration; write it as in 5s, 250ms, 1h30m",
        ),
        (
            "errors {\nconsolidate 1m ())\n}",
            "3: consolidate: '())' is not a regular expression: unexpected ): ())",
        ),
        (
            "errors {\nconsolidate 1m " + "a" * 10001 + "\n}",
            "3: consolidate: the pattern has 10001 characters; 10000 is the most",
        ),
        (
            "errors {\nconsolidate 1m x loud\n}",
            f"3: consolidate: unknown word 'loud'; expected {LEVELS}",
        ),
        ("errors {\nconsolidate 1m x info debug\n}", "3: consolidate: more than one log level"),
        (
            "errors {\nconsolidate 1m x show_first info\n}",
            "3: consolidate: the log level must stand before show_first",
        ),
        ("health 8080", "2: health: '8080' has no port; expected HOST:PORT or :PORT"),
        ("health :1 :2", "2: health: takes exactly one argument, got 2"),
        (
            "health {\nlameduck\n}",
            "3: lameduck: takes exactly one argument, got 0",
        ),
        (
            "health {\nlameduck 5\n}",
            "3: lameduck: '5' is not a duration; write it as in 5s, 250ms, 1h30m",
        ),
        ("health {\nx\n}", "3: x: not an option of health; expected lameduck DURATION"),
        ("ready x", "2: ready: 'x' has no port; expected HOST:PORT or :PORT"),
        ("ready {\nmonitor\n}", "3: monitor: takes exactly one argument, got 0"),
        (
            "ready {\nmonitor never\n}",
            "3: monitor: expected until-ready or continuously, got 'never'",
        ),
        (
            "ready {\nx\n}",
            "3: x: not an option of ready; expected monitor until-ready|continuously",
        ),
        ("prometheus a b", "2: prometheus: takes exactly one argument, got 2"),
        (
            "prometheus {\nruntime_metrics x\n}",
            "3: runtime_metrics: takes no argument, got 'x'",
        ),
        (
            "prometheus {\ntls web.yml\n}",
            "3: tls: not supported yet; put a TLS proxy in front of /metrics",
        ),
        ("prometheus {\nx\n}", "3: x: not an option of prometheus; expected runtime_metrics"),
        ("bind", "2: bind: expected at least one address or interface name"),
        ("bind lo {\nexcept\n}", "3: except: expected at least one address or interface name"),
        ("bind lo {\nx y\n}", "3: x: not an option of bind; expected except ADDRESS|INTERFACE…"),
        ("whoami x", "2: whoami: takes no argument, got 'x'"),
        ("whoami {\nx\n}", "3: x: whoami has no options"),
        ("debug x", "2: debug: takes no argument, got 'x'"),
        ("chaos {\nx\n}", "3: x: chaos has no options"),
        ("loadbalance x", "2: loadbalance: unknown policy 'x'; expected round_robin or weighted"),
        ("loadbalance round_robin x", "2: loadbalance: round_robin takes no argument, got 'x'"),
        ("loadbalance {\nx\n}", "3: x: unknown option of loadbalance; known are reload, prefer"),
        ("log {\nclass\n}", f"3: class: expected at least one of {CLASSES}"),
        ("log {\nclass x\n}", f"3: class: unknown class 'x'; expected {CLASSES}"),
        ("log {\nx\n}", "3: x: not an option of log; expected class success|denial|error|all"),
        ("log a..b", "2: log: 'a..b' has an empty label"),
    ],
    ids=lambda value: value[:50],
)
def test_bad_options_name_the_line(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(text)
    assert str(caught.value) == f"Corefile:{message}"


INTERFACES = {"lo": ["127.0.0.1", "::1"], "eth0": ["192.0.2.2", "fe80::1%eth0"]}


@pytest.mark.parametrize(
    ("texts", "addresses"),
    [
        (["bind 127.0.0.2"], ["127.0.0.2"]),
        (["bind lo"], ["127.0.0.1", "::1"]),
        (["bind lo eth0 {\nexcept ::1 127.0.0.1\n}"], ["192.0.2.2", "fe80::1%eth0"]),
        (["bind lo {\nexcept lo\n}", "bind 192.0.2.1"], ["192.0.2.1"]),
        (["bind lo", "bind 127.0.0.1 2001:db8:0::1"], ["127.0.0.1", "::1", "2001:db8::1"]),
    ],
    ids=str,
)
def test_bind_names_addresses(texts: list[str], addresses: list[str]) -> None:
    parsed = [bind.parse(directive(text)) for text in texts]
    assert bind.resolve(parsed, INTERFACES) == tuple(addresses)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "bind wlan7",
            "2: bind: 'wlan7' is neither an IP address nor the name of an interface here",
        ),
        ("bind lo {\nexcept x\n}", "3: except: 'x' is neither an IP address nor the name of an"),
        ("bind lo {\nexcept lo\n}", "2: bind: except leaves no address to listen on"),
        ("bind fe80::1%eth0", "2: bind: 'fe80::1%eth0' has a zone; name the interface instead"),
    ],
)
def test_bind_refuses_unknown_names(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        bind.resolve([bind.parse(directive(text))], INTERFACES)
    assert str(caught.value).startswith(f"Corefile:{message}")
