"""Label selectors: the string syntax of k8s.io/apimachinery/pkg/labels and what it matches."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdns.records import selectors

LABELS = {"app": "web", "tier": "front", "size": "12", "empty": "", "example.org/x": "in"}

MATCHING = [
    "",
    "  ",
    "app",
    "app=web",
    "app==web",
    "app = web",
    "\tapp\n==\r web ",
    "app!=db",
    "missing!=db",
    "!missing",
    "! missing",
    "app in (web)",
    "app in (db, web)",
    "app in(db,web)",
    "app notin (db,cache)",
    "missing notin (db)",
    "empty=",
    "empty in ()",
    "empty in (,x)",
    "empty in (x,,y)",
    "example.org/x in (in)",
    "example.org/x=in",
    "example.org/x in (notin,in)",
    "size>11",
    "size > 11,size < 13",
    "size>0",
    "app=web,tier!=db,app in (web,x),tier notin (y),size,!gone",
]
OTHERS = [
    "app=",
    "app=db",
    "app!=web",
    "App=web",
    "app=Web",
    "missing",
    "missing=",
    "missing in ()",
    "!app",
    "app in (db)",
    "app notin (web)",
    "size>12",
    "size<12",
    "app>1",
    "missing<1",
    "app=web,tier=db",
]
BROKEN = [
    ("app=web,", "label selector 'app=web,': expected a label key, found its end"),
    (",app", "label selector ',app': expected a label key, found ','"),
    (
        "app web",
        "label selector 'app web': expected one of = == != in notin < > or ',', found 'web'",
    ),
    ("app in web", "label selector 'app in web': expected '(', found 'web'"),
    ("app in (web", "label selector 'app in (web': expected ',', found its end"),
    ("app in (a b)", "label selector 'app in (a b)': expected ',', found 'b'"),
    ("app in (a(", "label selector 'app in (a(': expected ',', found '('"),
    ("!app=web", "label selector '!app=web': expected ',', found '='"),
    ("!!app", "label selector '!!app': expected a label key, found '!'"),
    ("app===web", "label selector 'app===web': expected a label value, found '='"),
    ("app=a=b", "label selector 'app=a=b': expected ',', found '='"),
    ("-app", "'-app' is not a valid label key: [DNS subdomain/]name, name ≤ 63"),
    ("a/b/c", "'a/b/c' is not a valid label key: [DNS subdomain/]name, name ≤ 63"),
    ("app=-x", "'-x' is not a valid label value: ≤ 63 letters, digits, '-', '_', '.'"),
    ("app>x", "label 'app': > needs an integer, found 'x'"),
    ("app<", "label 'app': < needs an integer, found ''"),
]


@pytest.mark.parametrize("text", MATCHING)
def test_matches(text: str) -> None:
    assert selectors.parse(text).matches(LABELS)


@pytest.mark.parametrize("text", OTHERS)
def test_does_not_match(text: str) -> None:
    assert not selectors.parse(text).matches(LABELS)


@pytest.mark.parametrize(("text", "message"), BROKEN, ids=[text for text, _ in BROKEN])
def test_says_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        selectors.parse(text)


def test_limits_the_lengths_of_keys_and_values() -> None:
    assert selectors.parse("a" * 63 + "=" + "b" * 63).requirements
    for text in ("a" * 64, "a=" + "b" * 64, "a" * 254 + "/x"):
        with pytest.raises(ValueError, match="is not a valid label"):
            selectors.parse(text)


@given(st.text(alphabet="ab=!(),<>in t/.-_1 ", max_size=30))
def test_any_text_is_a_selector_or_a_value_error(text: str) -> None:
    try:
        selector = selectors.parse(text)
    except ValueError:
        return
    assert selector.matches({}) in {True, False}


words = st.from_regex(r"[a-z0-9]([a-z0-9._-]{0,5}[a-z0-9])?", fullmatch=True)


@given(words, st.lists(words, min_size=1), st.dictionaries(words, words))
def test_in_and_notin_are_opposites(key: str, values: list[str], labels: dict[str, str]) -> None:
    inside = selectors.parse(f"{key} in ({','.join(values)})")
    outside = selectors.parse(f"{key} notin ({','.join(values)})")
    assert inside.matches(labels) is (labels.get(key) in values)
    assert outside.matches(labels) is not inside.matches(labels)
