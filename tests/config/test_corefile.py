# ruff: noqa: E501 (tables: one case, one line)
from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdns.config.corefile import default_blocks, parse
from kdns.config.imports import MAX_TOKENS
from kdns.config.tree import ConfigError, Key, Location, Option, ServerBlock
from kdns.wire import names

COREFILES: Final = Path(__file__).parent / "corefiles"
ENVIRONMENT: Final = {"ZONE": "env.test", "PORT": "1053", "TEXT": "two words", "BRACE": "{"}
FILES: Final = {
    "/etc/lines.conf": "errors\nlog . {\n class error\n}\n",
    "/etc/one.conf": "import /etc/two.conf",
    "/etc/two.conf": "\nimport /etc/one.conf",
    "/etc/sub/zones.conf": "a.test,\nb.test",
    "/etc/broken.conf": 'errors\nlog "',
}


def load(pattern: str, importing_file: str) -> Sequence[tuple[str, str]]:
    if "*" in pattern:
        return [(path, FILES[path]) for path in fnmatch.filter(FILES, pattern)]
    if pattern not in FILES:
        raise ConfigError(f"no {pattern} beside {importing_file}")
    return [(pattern, FILES[pattern])]


def read(text: str) -> tuple[ServerBlock, ...]:
    return parse(text, load=load, environment=ENVIRONMENT, port=53)


def shown(option: Option) -> str:
    """``name arg 'two words' {inner; inner}``."""
    words = " ".join([option.name, *(repr(arg) if " " in arg else arg for arg in option.args)])
    inner = "; ".join(map(shown, option.options))
    return f"{words} {{{inner}}}" if inner else words


def directives(text: str) -> list[str]:
    return [shown(option) for block in read(text) for option in block.directives]


def keys(text: str) -> list[str]:
    return [
        f"{key.scheme}://{names.to_text(key.zone)}:{key.port}"
        for block in read(text)
        for key in block.keys
    ]


def test_everything_keeps_its_place() -> None:
    text = "# here\n.:1053 {\n\n  errors\n  log . {\n    class error\n  }\n}\n"
    inner = Option("class", ("error",), Location("Corefile", 6))
    assert read(text) == (
        ServerBlock(
            (Key((), 1053),),
            (
                Option("errors", (), Location("Corefile", 4)),
                Option("log", (".",), Location("Corefile", 5), (inner,)),
            ),
            Location("Corefile", 2),
        ),
    )


@pytest.mark.parametrize(
    "text", ["", "\n \t# only a comment", "\ufeff", '""', "(s) {\n errors\n}", "import /none*"]
)
def test_nothing_is_no_block(text: str) -> None:
    assert read(text) == ()


def test_default_is_whoami_and_log_on_the_port() -> None:
    (block,) = default_blocks(1053)
    assert block.keys == (Key((), 1053),)
    assert [shown(option) for option in block.directives] == ["whoami", "log"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param('log "a b" c', ["log 'a b' c"], id="quotes"),
        pytest.param(r'log "\"x\"\n\\"', [r'log "x"\n\\'], id="only quotes are escaped"),
        pytest.param('log ""', ["log "], id="empty word"),
        pytest.param('log a"b" c', ['log a"b" c'], id="quote inside a word"),
        pytest.param('log "a"b', ["log a b"], id="word behind a quote"),
        pytest.param("log a \\\n errors", ["log a \\", "errors"], id="no line continuation"),
        pytest.param('log "a\nb" c\nerrors', ["log a\nb c", "errors"], id="quote over lines"),
        pytest.param("log a # b\nerrors", ["log a", "errors"], id="comment"),
        pytest.param("log a#b c", ["log a c"], id="comment behind a word ends with it"),
        pytest.param('log "a#b"', ["log a#b"], id="no comment in quotes"),
        pytest.param("log\ra\r\n", ["loga"], id="carriage returns vanish"),
        pytest.param("log\u00a0a\u2003b", ["log a b"], id="white space of Unicode"),
        pytest.param("log\x1ca", ["log\x1ca"], id="what is white space in Python alone"),
        pytest.param("log { class error\n}", ["log {class error}"], id="option beside the brace"),
        pytest.param("log {}", ["log {}"], id="braces glued together are a word"),
        pytest.param("log { }", ["log"], id="empty braces"),
        pytest.param("a {\n b {\n c d\n }\n e\n}", ["a {b {c d}; e}"], id="nested"),
        pytest.param("log {$ZONE}", ["log env.test"], id="variable"),
        pytest.param("log x{%ZONE%}y{$PORT}", ["log xenv.testy1053"], id="variables in a word"),
        pytest.param("log {$TEXT}", ["log 'two words'"], id="variable of two words"),
        pytest.param("log {$UNSET}", ["log "], id="unset variable"),
        pytest.param("log {$} {$ZONE {%} {%ZONE}", ["log {$} {$ZONE {%} {%ZONE}"], id="not closed"),
        pytest.param("log import x", ["log import x"], id="import not at the start"),
    ],
)
def test_lines(line: str, expected: list[str]) -> None:
    assert directives(f". {{\n{line}\n}}") == expected


def test_values_of_variables_are_not_read_again() -> None:
    blocks = parse(".\nlog {$A}", environment={"A": "{$A}{$B}", "B": "x"})
    assert blocks[0].directives[0].args == ("{$A}{$B}",)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("a.test", ["dns://a.test.:53"], id="without directives"),
        pytest.param("a.test b.test:5 {\n}", ["dns://a.test.:53", "dns://b.test.:5"], id="spaces"),
        pytest.param("a.test,\nb.test, c.test\n{\n}", [f"dns://{z}.test.:53" for z in "abc"], id="commas"),
        pytest.param("tls://. tls://a:1 dns://.", ["tls://.:853", "tls://a.:1", "dns://.:53"], id="schemes"),
        pytest.param("{$ZONE}:{$PORT} {\n}", ["dns://env.test.:1053"], id="variables"),
        pytest.param('. "" {\n}', ["dns://.:53"], id="empty words are skipped"),
        pytest.param("import /etc/sub/zone*\n{\n}", ["dns://a.test.:53", "dns://b.test.:53"], id="imported"),
        pytest.param("a.test {\n} b.test {\n}", ["dns://a.test.:53", "dns://b.test.:53"], id="behind a brace"),
    ],
)  # fmt: skip
def test_keys(text: str, expected: list[str]) -> None:
    assert keys(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("(s) {\nerrors\n}\n. {\nimport s\nlog\n}", ["errors", "log"], id="snippet"),
        pytest.param("(s) { errors }\n. {\nimport s\n}", ["errors"], id="snippet on one line"),
        pytest.param(
            "(s) {\nclass a\n}\n. {\nlog {\nimport s\nimport s\n}\n}",
            ["log {class a; class a}"],
            id="options twice",
        ),
        pytest.param(
            "(s) {\nlog {$ZONE}\n}\n(t) {\nimport s\nimport s\n}\n. {\nimport t\n}",
            ["log env.test", "log env.test"],
            id="snippet in a snippet",
        ),
        pytest.param(". {\nimport /etc/lines.conf\n}", ["errors", "log . {class error}"], id="file"),
        pytest.param(". {\nimport /etc/l*\nwhoami\n}", ["errors", "log . {class error}", "whoami"], id="glob"),
        pytest.param(". {\nimport /none*\nwhoami\n}", ["whoami"], id="empty glob"),
        pytest.param(". { import /none*\nwhoami\n}", ["whoami"], id="beside the brace"),
        pytest.param("(s) {\n. {\nerrors\n}\n}\nimport s", ["errors"], id="a whole block"),
    ],
)  # fmt: skip
def test_imports(text: str, expected: list[str]) -> None:
    assert directives(text) == expected


def test_imported_lines_know_their_file() -> None:
    (block,) = read(". {\nimport /etc/lines.conf\n}")
    assert [str(option.location) for option in block.directives] == [
        "/etc/lines.conf:1",
        "/etc/lines.conf:2",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (". { whoami }", "1: expected the end of the line after 'whoami'; '}' stands on its own line, found '}'"),
        (". {\nwhoami\n", "2: expected '}', found the end of the file; the block opened at Corefile:1 is not closed"),
        (". {\nlog {\nclass a", "3: expected '}', found the end of the file; the block opened at Corefile:2 is not closed"),
        ("(s) {\nlog", "2: expected '}', found the end of the file; the block opened at Corefile:1 is not closed"),
        (".\nwhoami\n}", "3: expected a directive; no block is open here, found '}'"),
        (". {\n}\n} ", "3: '}' is not a zone: expected a domain name or a network"),
        (". {\nwhoami\n{\n}\n}", "3: expected a new line; the brace stands on the line of 'whoami', found '{'"),
        (". {\n{\n}\n}", "2: expected a directive, found '{'"),
        (". {\nlog {\n{\n}\n}\n}", "3: expected an option, found '{'"),
        (". {\nlog {\n} x\n}", "3: expected the end of the line after '}', found 'x'"),
        (". {\nerrors\n\na.test {\n}\n}", "4: expected a directive (is the block before it not closed?), found 'a.test'"),
        ("{\nwhoami\n}", "1: expected a zone (is an environment variable unset?), found '{'"),
        ("{$UNSET} {\n}", "1: expected a zone (is an environment variable unset?), found '{'"),
        (". {\n{$UNSET}\n}", "2: expected a directive (is an environment variable unset?), found '{$UNSET}'"),
        ("a.test, {\n}", "1: expected another zone after the comma, found '{'"),
        ("a.test,", "1: expected another zone after the comma, found the end of the file"),
        ('.\nlog "x\ny', "2: this quote is never closed"),
        (".:{$PORT:53} {\n}", "1: {$PORT:53}: a variable takes no default value, expected {$PORT}"),
        (". {\nlog {$BRACE}\n}", "2: {$BRACE} stands for '{'; a brace must be written"),
        ("(s)\n", "1: snippet (s) has no body, expected '{'"),
        ("(s) {\n}\n(s) {\n}", "3: snippet (s) is defined twice"),
        ("(s) {\nimport s\n}", "2: snippet (s) imports itself"),
        ("(s) {\nimport t\n}\n(t) {\nimport s\n}\nimport s", "5: import: goes in a circle: (s) -> (t) -> (s)"),
        ("\nimport", "2: import: expected one argument, a snippet, file or glob, found none"),
        ("import a b", "1: import: expected one argument, a snippet, file or glob, found 2 words"),
        ("import {$UNSET}", "1: import: '{$UNSET}' is empty, expected a snippet, file or glob"),
        ("import */*", "1: import: a pattern may have one '*' and one '?' and no '[', found '*/*'"),
        ("import x", "1: import: no x beside Corefile"),
        (". {\nlog { import x\n}\n}", "2: expected an option; 'import' must start a line, found 'import'"),
        (". {\n" + "a {\n" * 17, "18: blocks nest deeper than 16"),
    ],
)  # fmt: skip
def test_errors_name_the_line(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert str(caught.value) == f"Corefile:{message}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "(s) {\n. {\n}\n}\nimport s\nimport /etc/sub/zones.conf\nlog }",
            "Corefile:7: expected the end of the line after 'log'; '}' stands on its own line, found '}'",
        ),
        (".\nimport /etc/broken.conf", "/etc/broken.conf:2: this quote is never closed"),
        (
            ".\nimport /etc/one.conf",
            "/etc/two.conf:2: import: goes in a circle: /etc/one.conf -> /etc/two.conf -> /etc/one.conf",
        ),
    ],
)
def test_errors_name_the_imported_file(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert str(caught.value) == message


def test_snippets_that_multiply_are_stopped() -> None:
    text = "(0) {\nerrors\n}\n"
    for level in range(1, 25):
        text += f"({level}) {{\nimport {level - 1}\nimport {level - 1}\n}}\n"
    with pytest.raises(ConfigError, match=f"more than {MAX_TOKENS} words"):
        read(f"{text}.\nimport 24")


def test_zones_without_end_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"^Corefile:79: more than 10000 zones in a block$"):
        read(",\n".join(["10.0.0.0/1"] * 1000))


def test_without_a_loader_no_file_is_imported() -> None:
    with pytest.raises(ConfigError, match=r"^C:1: import: 'x' is not a snippet defined above"):
        parse("import x", "C")


WORDS: Final = [
    *("{", "}", "import", "(s)", "s", ".", "a.test,", ",", '"', "#", "\\", "{$ZONE}", "{$", "log"),
    *("10.0.0.0/9", ":53", "tls://a", "/etc/lines.conf", "/etc/*", "\n", "\n", " ", "\r", "\u2003"),
]


@settings(max_examples=400)
@given(st.one_of(st.text(), st.lists(st.sampled_from(WORDS)).map(" ".join)))
def test_any_text_gives_blocks_or_an_error_with_its_place(text: str) -> None:
    try:
        blocks = read(text)
    except ConfigError as error:
        assert error.location  # noqa: PT017
        assert error.location.line >= 1  # noqa: PT017
    else:
        assert all(block.keys for block in blocks)


NODE_LOCAL: Final = "errors cache reload loop bind forward prometheus"
DISTRIBUTIONS: Final = {
    "aks": {".:53": "errors ready health kubernetes prometheus forward cache loop reload loadbalance template template"},
    "eks": {".:53": "errors health ready kubernetes prometheus forward cache loop reload loadbalance"},
    "gardener": {".:8053": "health ready rewrite kubernetes prometheus forward cache loop reload loadbalance errors log"},
    "helm": {".:53": "errors health ready kubernetes prometheus forward cache loop reload loadbalance"},
    "k3s": {".:53": "errors health ready kubernetes hosts prometheus forward cache loop reload loadbalance"},
    "kind": {".:53": "errors health ready kubernetes prometheus forward cache loop reload loadbalance"},
    "kops": {".:53": "errors health ready kubernetes prometheus hosts forward cache loop reload loadbalance dns64"},
    "kubeadm": {".:53": "errors health ready kubernetes prometheus forward cache loop reload loadbalance"},
    "kubeadm-old": {".:53": "errors health kubernetes prometheus proxy cache loop reload loadbalance"},
    "kubespray": {
        "example.com.:53 example.io.:1053": "log errors forward loadbalance cache reload",
        ".:53": "errors health rewrite ready kubernetes prometheus forward k8s_external cache loop reload loadbalance hosts",
    },
    "minikube": {".:53": "log errors health ready kubernetes prometheus hosts forward cache loop reload loadbalance"},
    "nodelocal": {
        "cluster.local.:53": f"{NODE_LOCAL} health",
        "in-addr.arpa.:53": NODE_LOCAL,
        "ip6.arpa.:53": NODE_LOCAL,
        ".:53": NODE_LOCAL,
    },
    "openshift": {
        "foo.com.:5353 bar.com.:5353": "prometheus forward errors log bufsize cache",
        ".:5353": "bufsize errors log health ready kubernetes prometheus forward cache reload",
        "hostname.bind.:5353": "chaos",
    },
    "talos": {".:53": "errors health ready log prometheus kubernetes forward cache loop reload loadbalance"},
}  # fmt: skip


@pytest.mark.parametrize(("name", "expected"), DISTRIBUTIONS.items(), ids=DISTRIBUTIONS)
def test_default_corefiles_of_distributions(name: str, expected: dict[str, str]) -> None:
    blocks = parse((COREFILES / f"{name}.Corefile").read_text(), load=load)
    assert {
        " ".join(f"{names.to_text(key.zone)}:{key.port}" for key in block.keys): " ".join(
            directive.name for directive in block.directives
        )
        for block in blocks
    } == expected


def test_every_default_corefile_is_read() -> None:
    assert {path.stem for path in COREFILES.iterdir()} == DISTRIBUTIONS.keys()


def test_kubeadm_in_full() -> None:
    (block,) = parse((COREFILES / "kubeadm.Corefile").read_text())
    assert [shown(option) for option in block.directives] == [
        "errors",
        "health {lameduck 5s}",
        "ready",
        "kubernetes cluster.local in-addr.arpa ip6.arpa {pods insecure; fallthrough in-addr.arpa ip6.arpa; ttl 30}",
        "prometheus :9153",
        "forward . /etc/resolv.conf {max_concurrent 1000}",
        "cache 30 {disable success cluster.local; disable denial cluster.local}",
        "loop",
        "reload",
        "loadbalance",
    ]


def test_aks_keeps_the_regular_expression() -> None:
    (block,) = parse((COREFILES / "aks.Corefile").read_text(), load=load)
    template = next(block.named("template"))
    assert template.options[0].args == (r"^(?:[^.]+\.){4,}internal\.cloudapp\.net\.$",)
