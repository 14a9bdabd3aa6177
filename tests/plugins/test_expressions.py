# ruff: noqa: E501  (a table row per case reads best on one line)
"""Expressions of ``view`` and ``template``: what they come to, here and in CoreDNS, and their mistakes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from time import process_time
from typing import Final, cast

import pytest
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st
from msgspec.structs import replace

from kdns.config.tree import ConfigError
from kdns.plugins.expressions import (
    BY_ASKER,
    QUESTION,
    Env,
    ExpressionError,
    compile_expression,
)
from kdns.plugins.expressions.functions import FUNCTIONS, OPERATORS, PREDICATES
from kdns.plugins.view import Settings, View
from kdns.wire.message import Edns
from tests.plugins.chains import Chain, question, refusal, settings
from tests.plugins.peers import Peers

QUERY: Final = replace(
    question("A.b.Example.com TXT"),
    client="127.0.0.1",
    client_port=4711,
    message_id=42,
    server=("127.0.0.1", 53),
)

SAME: Final = {
    "type() == 'TXT'": True,
    "type() in ['A', 'AAAA']": False,
    "type() not in ['A', 'AAAA']": True,
    "not (type() in ['A'])": True,
    "!do()": True,
    "name()": "NAME",
    "name() startsWith 'e' and name() endsWith \".test.\"": True,
    "name() contains 'test'": True,
    "name() matches '^e[0-9]+\\\\.test\\\\.$'": True,
    "name() matches `^e\\d+\\.TEST`": False,
    "class()": "IN",
    "client_ip()": "127.0.0.1",
    "client_ip() == '127.0.0.1' || false": True,
    "proto()": "udp",
    "opcode()": 0,
    "bufsize()": 512,
    "incidr(client_ip(), '127.0.0.0/24')": True,
    "incidr(client_ip(), '2001:db8::/32')": False,
    "incidr('2001:db8::1', '2001:0DB8::/32')": True,
    "metadata('view/name') == ''": True,
    "any(['10.0.0.0/8', '127.0.0.0/8'], incidr(client_ip(), #))": True,
    "all([1, 2, 3], # > 1)": False,
    "none([1, 2], {# > 2})": True,
    "one([1, 2], # == 2)": True,
    "count([1, 2, 3], # >= 2)": 2,
    "len(filter([1, 2, 3], # % 2 == 1))": 2,
    "join(map(['a', 'b'], upper(#)), '-')": "A-B",
    "1 + 2 * 3": 7,
    "(1 + 2) * 3": 9,
    "-2 ** 2": "-4",
    "2 ^ 3 ^ 2": "512",
    "7 % 4": 3,
    "-7 % 4": -3,
    "1 < 2 and 2 <= 2 and 3 > 2 and 3 >= 3 and 1 != 2": True,
    "1 == 1.0": True,
    "0x10 + 0b11 + 0o7 + 1_000": 1026,
    "5 in 1..10": True,
    "[1, 2, 3][1]": 2,
    "[1, 2, 3][-1]": 3,
    "'abcdef'[1:3]": "bc",
    "'abcdef'[:2] + 'abcdef'[4:]": "abef",
    "true ? 'yes' : 'no'": "yes",
    "type() == 'A' ? 1 : type() == 'TXT' ? 2 : 3": 2,
    "upper('a') + lower('B') + trim('  c ') + trim('xdx', 'x')": "Abcd",
    "trimPrefix('abc', 'a') + trimSuffix('abc', 'c')": "bcab",
    "replace('1-2-3', '-', '.')": "1.2.3",
    "split('a.b.c', '.')[1]": "b",
    "first([1, 2]) + last([1, 2])": 3,
    "indexOf('abc', 'c')": 2,
    "hasPrefix('abc', 'ab') && hasSuffix('abc', 'bc')": True,
    "int('42') + 1": 43,
    "string(42) + 'x'": "42x",
    "abs(-3)": 3,
    "name() | upper() | len() > 3": True,
    "'a\\\\tb' == \"a\\\\tb\"": True,
    "group(0) == name()": True,
    "group('which')": "e",
}
"""What is the same in CoreDNS; texts of Corefiles, where a backslash in quotes is one."""

HERE: Final = {
    "id() == 42 && port() == '4711' && server_port() == '53'": True,
    "name() == 'a.b.example.com.'": True,
    "size() > 12": True,
    "false && 1 / 0 == 1": False,
    "true or int('x') == 1": True,
    "[true, false][0] ? 'a' : 'b'": "a",
    "len([]) == 0": True,
    "1.5 + 1": 2.5,
    "7 / 2": 3.5,
    "'é' in ['é']": True,
}


def value(text: str, **fields: object) -> object:
    expression = compile_expression(text, QUESTION, {})
    return expression(Env(replace(QUERY, **fields), lambda query, label: f"<{label}>"))


@pytest.mark.parametrize(("text", "expected"), HERE.items())
def test_values(text: str, expected: object) -> None:
    found = value(text)
    assert (type(found), found) == (type(expected), expected)


@pytest.mark.parametrize(
    ("text", "fields", "expected"),
    [
        ("client_ip()", {"client": "::ffff:10.0.0.1"}, "10.0.0.1"),
        ("client_ip()", {"client": "fe80::1%eth0"}, "fe80::1"),
        ("client_ip()", {"client": ""}, ""),
        ("proto()", {"transport": "tls"}, "tcp"),
        ("do()", {"edns": Edns(dnssec_ok=True)}, True),
        ("bufsize()", {"edns": Edns(4096)}, 4096),
        ("bufsize()", {"edns": None}, 512),
        ("server_ip()", {"server": ("10.0.0.10", 53)}, "10.0.0.10"),
        ("metadata('kubernetes/service')", {}, "<kubernetes/service>"),
    ],
)
def test_questions(text: str, fields: dict[str, object], expected: object) -> None:
    assert value(text, **fields) == expected


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peers]:
    blocks = [
        f"template IN TXT e{number}.test {{\n"
        "    match (?P<which>e).*\n"
        f'    var x "{_quoted(text)}"\n'
        '    answer "{{ .Name }} 60 IN TXT \\"{{ .Var.x }}\\""\n}\n'
        for number, text in enumerate(SAME)
    ]
    server = Peers(". {\n" + "".join(blocks) + "}\n", tmp_path_factory.mktemp("expressions"))
    yield server
    server.stop()


def _quoted(text: str) -> str:
    """In the quotes of a Corefile, where only a quote is escaped."""
    return text.replace('"', '\\"').replace("\\\\\\\\", "\\\\")


def test_the_same_in_coredns(peers: Peers) -> None:
    for number, (text, expected) in enumerate(SAME.items()):
        ours, theirs = peers.both(f"e{number}.test TXT")
        assert (text, ours) == (text, theirs)
        shown = str(expected).lower() if isinstance(expected, bool) else str(expected)
        shown = shown.replace("NAME", f"e{number}.test.").lower()
        assert (text, f'txt "{shown}"' in ours) == (text, True), ours


WRONG: Final = {
    "": "expected an expression",
    "client_op()": "unknown function 'client_op'; did you mean client_ip?\n    client_op()\n    ^",
    "name() == ": "expected a value, found the end\n    name() == \n              ^",
    "name() = 'a'": "unexpected '='\n    name() = 'a'\n           ^",
    "name == 'a'": "name is a function, write name()\n    name == 'a'\n    ^",
    "typ": "unknown name 'typ'; did you mean type?\n    typ\n    ^",
    "name() == 1": "== is not for string and int, but for comparable\n    name() == 1\n           ^",
    "type() and true": "&& is not for string and bool, but for bool",
    "'a' - 'b'": "- is not for string and string, but for number",
    "name() in 'abc'": "in is not for string and string, but for anything and a list",
    "not name()": "not takes bool, not string\n    not name()\n        ^",
    "(true": "expected ), found the end\n    (true\n         ^",
    "[1, 2": "expected ], found the end",
    "true true": "unexpected true\n    true true\n         ^",
    "'abc": "a text that is not closed\n    'abc\n    ^",
    "'\\\\q'": "unknown escape \\q; a backslash itself is written twice: \\\\q",
    "incidr(client_ip())": "incidr takes 2 arguments, got 1\n    incidr(client_ip())\n    ^",
    "incidr(client_ip(), 1)": "incidr takes string, not int\n    incidr(client_ip(), 1)\n                        ^",
    "incidr(client_ip(), '10.0.0/8')": "'10.0.0/8' does not appear to be an IPv4 or IPv6 network",
    "incidr(client_ip(), '10.0.0.1')": "'10.0.0.1' is not a network, expected one like 10.0.0.0/8",
    "name() matches '('": "'(' is not a regular expression",
    "# == 1": "expected a value, found #",
    "any(1, # == 1)": "any takes list, not int",
    "any([1], 2)": "any takes bool, not int",
    "1[0]": "int has no elements",
    "-'a'": "- is not for string",
    "1 ? 2 : 3": "? takes bool, not int",
    "@": "unexpected '@'",
}


@pytest.mark.parametrize(("text", "expected"), WRONG.items())
def test_mistakes(text: str, expected: str) -> None:
    quoted = text.replace("\\\\", "\\").replace('"', '\\"')
    found = refusal(f'view x {{\nexpr "{quoted}"\n}}')
    assert found.startswith(f"3: expr: {expected}".replace("&&", "and")), found


@pytest.mark.parametrize(
    "text",
    [
        "1 % 0 == 1",
        "[1][5] == 1",
        "int(name()) == 1",
        "first([]) == 1",
        "[1][0] and true",
        "2 ** 99999 > 1",
        "len(1..100000) > 1",
        "1e308 * 10 > 1 and int(1e308 * 10) == 1",
    ],
)
def test_failures_with_a_question(text: str) -> None:
    with pytest.raises(ExpressionError):
        value(text)


def test_nothing_is_too_deep() -> None:
    with pytest.raises(ExpressionError, match="nests deeper than 64"):
        compile_expression("(" * 1000 + "1" + ")" * 1000, QUESTION, {})
    with pytest.raises(ExpressionError, match="longer than 4096"):
        compile_expression("1 + " * 2000 + "1", QUESTION, {})
    assert value(" || ".join(["false"] * 400)) is False


def test_what_depends_on_the_asker_is_known() -> None:
    asked = compile_expression("type() == 'A' && incidr(client_ip(), '::/0')", QUESTION, {})
    assert asked.uses & BY_ASKER == {"client_ip"}
    asked = compile_expression("any(['::/0'], incidr(#, #)) || do()", QUESTION, {})
    assert not asked.uses & BY_ASKER


CONFUSED: Final = (
    "[1][0] startsWith 'a'",
    "[true][0] endsWith 'a'",
    "'a' contains [1][0]",
    "[1][0] matches 'a'",
    "'a' matches ['('][0]",
    "'a' matches [[]][0]",
    "hasPrefix([1][0], 'a')",
    "upper([1][0]) == 'A'",
    "trim(['a'][0], [1][0]) == ''",
    "len([1][0]) == 1",
    "[1][0] in [1][0]",
    "1 in ['abc'][0]",
    "['a'][0] * 3 == 'aaa'",
    "[true][0] + 1 == 2",
    "[[1]][0] + [[2]][0] == [1, 2]",
    "-[true][0] == -1",
    "[1][0] ? true : false",
    "not [0][0]",
    "any([1][0], true)",
    "any([1], [#][0])",
    "[1][0][0] == 1",
    "[1][['0'][0]] == 1",
    "'abc'[[true][0]:] == 'bc'",
    "join(['a'], [1][0]) == 'a'",
    "incidr([1][0], '::/0')",
    "incidr(['x'][0], '::/0')",
    "incidr('::1', ['::/x'][0])",
    "metadata([1][0]) == ''",
)
"""Operands whose kind shows only with a query, and is not what the operator or function takes."""

LARGE: Final = (
    "len(['a'][0] * 99999999999) > 0",
    "len(replace(join(map(1..60000, 'a')), 'a', join(map(1..60000, 'b')))) > 0",
    "len(join(1..60000, join(map(1..60000, 'a')))) > 0",
    "len(join(map(1..60000, 'a')) + join(map(1..60000, 'b'))) > 0",
    "len(string(map(1..60000, 1..60000))) > 0",
    "len(map(1..60000, 1..60000)) > 0",
    "any(1..60000, any(1..60000, false))",
    "any(1..60000, # in 100000..160000)",
    "len(map(1..60000, name() + name())) > 0",
    "int(1e300) == 0",
)
"""What would take seconds, or all memory."""


@pytest.mark.parametrize("text", [*CONFUSED, *LARGE])
def test_failures_are_false(text: str) -> None:
    with pytest.raises(ExpressionError):
        value(text)
    directive = f'view x {{\nexpr "{text}"\n}}'
    view = View(cast("Settings", settings(directive)), Chain(". {\n}"))
    began = process_time()
    assert view(QUERY) is False
    assert process_time() - began < 5, "seconds of CPU"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("9223372036854775807 + 1", -(2**63)),
        ("-9223372036854775807 - 2", 2**63 - 1),
        ("4611686018427387904 * 4", 0),
        ("-(-9223372036854775807 - 1)", -(2**63)),
        ("abs(-9223372036854775807 - 1)", -(2**63)),
        ("string([1, 'a', [2, true]])", "[1 a [2 true]]"),
        ("['a'][0] + 'b'", "ab"),
        ("[2][0] * 1.5", 3.0),
        ("['a'][0] == 1", False),
        ("[true][0] == 1", False),
        ("[true][0] != 1", True),
    ],
)
def test_as_in_go(text: str, expected: object) -> None:
    assert value(text) == expected


def _operators(sides: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    names = st.sampled_from([*OPERATORS, "and", "or", "not in", "|"])
    calls = st.sampled_from([*FUNCTIONS, *QUESTION])
    lists = st.lists(sides, max_size=3)
    return st.one_of(
        st.tuples(sides, names, sides).map(" ".join),
        sides.map("({})".format),
        sides.map("[{}][0]".format),
        sides.map("not {}".format),
        sides.map("-{}".format),
        lists.map(lambda found: f"[{', '.join(found)}]"),
        st.builds("{}[{}]".format, sides, sides),
        st.builds("{}[{}:{}]".format, sides, sides, sides),
        st.builds("{} ? {} : {}".format, sides, sides, sides),
        st.builds(lambda name, found: f"{name}({', '.join(found)})", calls, lists),
        st.builds("{}({}, {})".format, st.sampled_from([*PREDICATES]), sides, sides),
    )


VALUES: Final = st.sampled_from(
    [
        *(
            "1",
            "0",
            "-1",
            "9223372036854775807",
            "0x_",
            "1e308",
            "1e999",
            "9" * 4000,
            "true",
            "'a'",
        ),
        *(
            "''",
            "'('",
            "'\\\\uD800'",
            "'::/0'",
            "'10.0.0.0/8'",
            "[]",
            "#",
            "name()",
            "1..60000",
            "é",
        ),
    ]
)


@settings_of_hypothesis(max_examples=400, deadline=None)
@given(st.recursive(VALUES, _operators, max_leaves=12))
def test_check_refuses_an_expression_or_it_is_true_or_false(text: str) -> None:
    quoted = text.replace('"', '\\"')
    try:
        found = settings(f'view x {{\nexpr "{quoted}"\n}}')
    except ConfigError:
        return
    assert isinstance(View(cast("Settings", found), Chain(". {\n}"))(QUERY), bool)


@given(st.text(alphabet="ab()[]{}'\"`#?:.,|&!=<>+-*/%^ 01\\_@é\n", max_size=30))
def test_any_text_is_an_expression_or_a_mistake(text: str) -> None:
    with contextlib.suppress(ExpressionError):
        compile_expression(text, QUESTION, {})(Env(QUERY, lambda query, label: ""))
