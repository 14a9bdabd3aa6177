# ruff: noqa: E501  (a table row per case reads best on one line)
"""``template``: Go's templates and regular expressions, options, answers, and CoreDNS beside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from time import process_time
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdns.plugins import go_regex, template
from kdns.plugins.template.go_template import TemplateError, compile_template
from kdns.plugins.template.records import record
from kdns.plugins.template.values import Fields
from kdns.plugins.zones import Fallthrough
from kdns.wire.constants import Class, Rcode, Type
from kdns.wire.message import FOREVER, ExtendedError
from tests.plugins.chains import Chain, refusal, settings, shown, told
from tests.plugins.peers import Peers, check

DATA: Final = Fields(
    Name="a.b.test.",
    Zone="test.",
    Match=["a.b", "a", "b"],
    Group={"0": "a.b", "1": "a", "x": "0a"},
    Question=Fields(Name="a.b.test.", Qtype=1),
    Message=Fields(Id=7, Question=[Fields(Name="q.", Qtype=1)]),
    Empty="",
    Number=12,
    Yes=True,
    Meta=lambda label: f"<{label}>",
)

MADE = {
    "text": ("plain", "plain"),
    "field": ("{{ .Name }} 60 IN A", "a.b.test. 60 IN A"),
    "tight": ("{{.Name}}{{.Zone}}", "a.b.test.test."),
    "chain": ("{{ .Question.Name }}", "a.b.test."),
    "group": ("{{ .Group.x }}", "0a"),
    "missing group": ("{{ .Group.y }}", "<no value>"),
    "index": ("{{ index .Match 1 }}.{{ index .Match 2 }}", "a.b"),
    "index map": ('{{ index .Group "x" }}|{{ index .Group "none" }}', "0a|"),
    "nested": ("{{ (index .Message.Question 0).Name }}", "q."),
    "pipe": ('{{ .Name | printf "%s!" }}', "a.b.test.!"),
    "pipes": ('{{ 1 | index .Match | printf "%q" }}', '"a"'),
    "parseInt": ("{{ parseInt .Group.x 16 8 }}", "10"),
    "method": ('{{ .Meta "kubernetes/x" }}', "<kubernetes/x>"),
    "trim": ("a  {{- .Zone -}}   b", "atest.b"),
    "comment": ("a{{/* no {{ }} */}}b", "ab"),
    "trimmed comment": ("a {{- /* no */ -}} b", "ab"),
    "if": ("{{ if .Yes }}y{{ else }}n{{ end }}", "y"),
    "else": ("{{ if .Empty }}y{{ else }}n{{ end }}", "n"),
    "else if": ('{{ if .Empty }}1{{ else if eq .Zone "test." }}2{{ else }}3{{ end }}', "2"),
    "no else": ("{{ if .Empty }}y{{ end }}", ""),
    "missing is false": ("{{ if .Group.y }}y{{ else }}n{{ end }}", "n"),
    "with": ("{{ with .Question }}{{ .Qtype }}{{ end }}", "1"),
    "range": ("{{ range .Match }}<{{ . }}>{{ end }}", "<a.b><a><b>"),
    "range variables": ("{{ range $i, $m := .Match }}{{ $i }}={{ $m }};{{ end }}", "0=a.b;1=a;2=b;"),
    "range of a map": ("{{ range $k, $v := .Group }}{{ $k }}{{ end }}", "01x"),
    "range else": ("{{ range .Empty }}x{{ else }}none{{ end }}", None),
    "variable": ('{{ $a := "x" }}{{ $a }}{{ $a }}', "xx"),
    "assignment": ('{{ $a := 1 }}{{ if true }}{{ $a = 2 }}{{ end }}{{ $a }}', "2"),
    "scope": ('{{ $a := 1 }}{{ if true }}{{ $a := 2 }}{{ end }}{{ $a }}', "1"),
    "root": ("{{ range .Match }}{{ $.Zone }}{{ end }}", "test.test.test."),
    "logic": ('{{ and .Yes .Zone }} {{ or .Empty "d" }} {{ not .Yes }}', "test. d false"),
    "compare": ("{{ lt 1 2 }} {{ ge 1 2 }} {{ eq 1 3 1 }} {{ ne 1 1 }} {{ le 2 2 }} {{ gt 3 2 }}", "true false true false true true"),
    "len": ("{{ len .Match }} {{ len .Zone }}", "3 5"),
    "slice": ("{{ slice .Name 2 }} {{ slice .Name 0 3 }} {{ slice .Match 1 2 }}", "b.test. a.b [a]"),
    "print": ('{{ print 1 2 "x" 3 }} {{ println 1 "a" }}', "1 2x3 1 a\n"),
    "printf": ('{{ printf "%03d %x %X %5s|%-3s| %v %% %c %b %t" 7 255 255 "a" "b" .Match 65 5 true }}', "007 ff FF     a|b  | [a.b a b] % A 101 true"),
    "printf hex of text": ('{{ printf "%x" "ab" }}', "6162"),
    "printf short": ('{{ printf "%s %d" "a" }}', "a %!d(MISSING)"),
    "raw": (r"{{ `a\n` }}{{ \"\" }}".replace('\\"', '"'), "a\\n"),
    "escapes": (r'{{ "a\tb\"" }}', 'a\tb"'),
    "numbers": ("{{ 0x10 }} {{ -3 }} {{ 1_000 }} {{ 'a' }} {{ true }}", "16 -3 1000 97 true"),
    "shown": ("{{ .Match }} {{ .Group }} {{ .Yes }}", "[a.b a b] map[0:a.b 1:a x:0a] true"),
    "parentheses": ("{{ (printf \"%s\" .Zone) }}", "test."),
    "braces in text": ("{{ \"}}\" }}", "}}"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), MADE.values(), ids=MADE.keys())
def test_go_templates(text: str, expected: str | None) -> None:
    compiled = compile_template(text)
    if expected is None:
        with pytest.raises(TemplateError):
            compiled.execute(DATA)
    else:
        assert compiled.execute(DATA) == expected


BROKEN = {
    "open": ("{{ .Name", "an action is not closed; '}}' expected"),
    "function": ("{{ lower .Name }}", "function 'lower' not defined; known are and, or, not, len, index, slice, print, println, printf, eq, ne, lt, le, gt, ge, parseInt"),
    "no end": ("{{ if .Yes }}a", "{{ end }} expected, but the template ends"),
    "end alone": ("a{{ end }}", "unexpected {{ end }}"),
    "else alone": ("{{ else }}", "unexpected {{ else }}"),
    "empty": ("{{ }}", "a value expected"),
    "empty pipe": ("{{ .Name | }}", "a value expected"),
    "parenthesis": ("{{ (len .Name }}", "')' expected"),
    "character": ("{{ .Name % }}", "unexpected '%' in '.Name %'"),
    "define": ('{{ define "x" }}{{ end }}', "{{ define }} is not supported"),
    "arguments": ("{{ 1 2 }}", "only a function takes arguments"),
    "closing": ("{{ .Name ) }}", "unexpected ')'"),
    "before assignment": ("{{ .Name := 1 }}", "variables expected before :="),
    "after else": ("{{ if true }}{{ else x }}{{ end }}", "unexpected 'x' after else"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_broken_templates(text: str, message: str) -> None:
    with pytest.raises(TemplateError) as error:
        compile_template(text)
    assert str(error.value) == message


FAILS = {
    "field": ("{{ .Nme }}", "there is no field .Nme; known are Name, Zone"),
    "field of text": ("{{ .Name.x }}", "no field x in 'a.b.test.'"),
    "index": ("{{ index .Match 9 }}", "index out of range: 9"),
    "index of text by text": ('{{ index .Name "a" }}', "cannot index"),
    "parseInt": ("{{ parseInt .Name 16 8 }}", "is not a number of base 16"),
    "parseInt bits": ('{{ parseInt "1ff" 16 8 }}', "1ff has more than 8 bits"),
    "arguments": ("{{ len }}", "missing 1 required positional argument"),
    "range": ("{{ range .Name }}{{ end }}", "range cannot go over 'a.b.test.'"),
    "range, long": ("{{ range 99999999 }}{{ end }}", "range over 99999999 is too much"),
    "variable": ("{{ $x }}", "undefined variable $x"),
    "compare": ('{{ lt 1 "a" }}', "cannot compare '1' with 'a'"),
    "printf": ('{{ printf "%d" "a" }}', "printf: %d cannot show 'a'"),
    "slice": ("{{ slice .Name 5 2 }}", "cannot slice"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "message"), FAILS.values(), ids=FAILS.keys())
def test_templates_that_fail_with_the_values(text: str, message: str) -> None:
    with pytest.raises(TemplateError) as error:
        compile_template(text).execute(DATA)
    assert message in str(error.value)


@given(st.text(alphabet='{} .$"`|()=:,-/*aifendrgName01\n', max_size=40))
def test_any_template_is_made_or_refused(text: str) -> None:
    with suppress(TemplateError):
        compile_template("{{" + text + "}}").execute(DATA)


PATTERNS = {
    "plain": (r"^a\.b$", "a.b", True),
    "named": (r"(?P<x>a)", "a", True),
    "named as of Go 1.22": (r"(?<x>a)\.b", "a.b", True),
    "look-behind stays what it was": (r"[(?<x]", "<", True),
    "end": (r"a$", "a\n", False),
    "end by z": (r"a\z", "a\n", False),
    "class": (r"^[[:alpha:]]+$", "abc", True),
    "negated class": (r"^[^[:digit:]_]$", "_", False),
    "bracket in brackets": (r"^[[a]+$", "[a", True),
    "closing bracket first": (r"^[]a]+$", "]a", True),
    "dollar in brackets": (r"^[$.]+$", "$.", True),
    "quoted": (r"^\Qa.b\E$", "axb", False),
    "ASCII digits": (r"^\d$", "٣", False),
    "AKS": (r"^(?:[^.]+\.){4,}internal\.cloudapp\.net\.$", "a.b.c.d.internal.cloudapp.net.", True),
}  # fmt: skip


@pytest.mark.parametrize(("pattern", "text", "matches"), PATTERNS.values(), ids=PATTERNS.keys())
def test_go_patterns(pattern: str, text: str, matches: bool) -> None:
    assert bool(go_regex.compile(pattern).search(text)) is matches


@pytest.mark.parametrize(
    "pattern", ["(", "[[:nope:]]", "a" * 10001, "(?P<a-b>a)", "*", r"(a)\1", "(?=a)", "a{1001}"]
)
def test_patterns_that_are_none(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"regular expression|10000 is the most"):
        go_regex.compile(pattern)


HOSTILE = {
    "labels": (r"(.*\.)*(.*)\.example\.com", "a." * 127),
    "nested": (r"^(a+)+$", "a" * 63 + "." + "a" * 63 + "."),
    "several": (r"(.*)\.(.*)\.(.*)\.(.*)\.svc\.cluster\.local", "a." * 127),
    "words": (r"^(?:\w+\.?)+\.example\.$", "a" * 63 + "."),
    "dashes": (r"^(([a-z0-9]+-?)+\.)+example\.$", "a" * 62 + "!."),
}


@pytest.mark.parametrize(("pattern", "name"), HOSTILE.values(), ids=HOSTILE.keys())
def test_no_name_holds_up_a_pattern(pattern: str, name: str) -> None:
    """Seconds to years with an engine that tries one way after the other; microseconds with this."""
    compiled = go_regex.compile(pattern)
    before = process_time()
    for _ in range(100):
        compiled.search(name)
    assert process_time() - before < 1


def test_what_a_pattern_finds() -> None:
    pattern = go_regex.compile("(?P<first>[^.]+)(x)?[.](?<é>.*)")
    found = pattern.search("ä.öü")
    assert found == ["ä.öü", "ä", "", "öü"]
    assert pattern.named(found) == {
        "0": "ä.öü",
        "1": "ä",
        "2": "",
        "3": "öü",
        "first": "ä",
        "é": "öü",
    }
    assert pattern.search("\ud800") is None


RECORDS = {
    "whole": ("a.test. 60 IN A 192.0.2.1", "a.test. 60 A 192.0.2.1"),
    "no TTL": ("a.test. IN A 192.0.2.1", "a.test. 3600 A 192.0.2.1"),
    "nothing but data": ("a.test A 192.0.2.1", "a.test. 3600 A 192.0.2.1"),
    "relative target": ("foogle.com 60 IN CNAME google.com", "foogle.com. 60 CNAME google.com."),
    "several": ("a. 1 A 192.0.2.1\nb. 1 A 192.0.2.2", "a. 1 A 192.0.2.1"),
    "parentheses": ("a. 1 MX ( 10\n b. )", "a. 1 MX b."),
    "white space before": ("  a. 1 A 192.0.2.1", "a. 1 A 192.0.2.1"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), RECORDS.values(), ids=RECORDS.keys())
def test_records(text: str, expected: str) -> None:
    assert shown(record(text)) == expected


def test_records_of_other_classes() -> None:
    assert record("a. 1 CH TXT x").rclass == Class.CH
    assert record("ch. 1 IN TXT CH CH").rclass == Class.IN


@pytest.mark.parametrize(
    "text", ["", "a. A", "a. IN A 1.2.3", "$INCLUDE /etc/passwd", "a. 1 IN A <no value>", "; x"]
)
def test_what_is_no_record(text: str) -> None:
    with pytest.raises(TemplateError):
        record(text)


S = template.Settings
SETTINGS = {
    "AKS": ('template ANY ANY internal.cloudapp.net {\nmatch "^(?:[^.]+\\.){4,}internal\\.cloudapp\\.net\\.$"\nrcode NXDOMAIN\nfallthrough\n}', S(Class.ANY, Type.ANY, (("internal", "cloudapp", "net"),), (r"^(?:[^.]+\.){4,}internal\.cloudapp\.net\.$",), rcode=Rcode.NXDOMAIN, fallthrough=Fallthrough(((),)))),
    "reddog": ("template ANY ANY reddog.microsoft.com {\nrcode NXDOMAIN\n}", S(255, 255, (("reddog", "microsoft", "com"),), rcode=3)),
    "all": ('template IN A {\nmatch a b\nmatch c\nanswer "a. A 1.2.3.4" "b. A 1.2.3.4"\nadditional x\nauthority y\nrcode YXRRSET\nederror 21 "why not"\nfallthrough org\nupstream 8.8.8.8\n}', S(1, 1, (), ("a", "b", "c"), ("a. A 1.2.3.4", "b. A 1.2.3.4"), ("x",), ("y",), 7, ExtendedError(21, "why not"), Fallthrough((("org",),)))),
    "ederror alone": ("template CH TXT {\nederror 15\n}", S(3, 16, error=ExtendedError(15))),
    "a number for a type": ("template IN TYPE65280", S(1, 65280)),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), SETTINGS.values(), ids=SETTINGS.keys())
def test_settings(text: str, expected: template.Settings) -> None:
    assert settings(text) == expected


REFUSED = {
    "alone": ("template", "2: template: takes a class and a type (or ANY), and the zones it is for"),
    "class alone": ("template IN", "2: template: takes a class and a type (or ANY), and the zones it is for"),
    "class": ("template XX A", "2: template: 'XX' is not a class; expected IN, CH, HS, NONE, ANY"),
    "type": ("template IN WRONG", "2: template: a record type expected, not 'WRONG'"),
    "small letters": ("template IN a", "2: template: a record type in capital letters expected, not 'a'"),
    "zone": ("template IN A a..b", "2: not a zone: 'a..b' has an empty label"),
    "option": ("template IN A {\nanswr x\n}", "3: answr: unknown option of template; known are match, answer, additional, authority, rcode, ederror, fallthrough, var, expr, upstream"),
    "match": ("template IN A {\nmatch\n}", "3: match: takes at least one regular expression"),
    "pattern": ("template IN A {\nmatch (\n}", "3: match: '(' is not a regular expression: missing ): ("),
    "answer": ("template IN A {\nanswer\n}", "3: answer: takes at least one template of a record"),
    "template": ('template IN A {\nanswer "{{ .Name"\n}', "3: answer: '{{ .Name' is not a template: an action is not closed; '}}' expected"),
    "rcode": ("template IN A {\nrcode NOPE\n}", "3: rcode: unknown response code 'NOPE'; expected one such as NXDOMAIN"),
    "rcode alone": ("template IN A {\nrcode\n}", "3: rcode: takes the name of a response code"),
    "ederror": ("template IN A {\nederror x\n}", "3: ederror: a number from 0 to 65535 expected, not 'x'"),
    "ederror words": ("template IN A {\nederror 1 a b\n}", "3: ederror: takes a code of an Extended DNS Error, and a text"),
    "expr": ("template IN A {\nexpr yes\n}", "3: expr: unknown name 'yes'"),
    "var": ("template IN A {\nvar x\n}", "3: var: takes a name and an expression"),
    "var name": ("template IN A {\nvar 1x 2\n}", "3: var: '1x' is no name for a variable"),
    "var twice": ("template IN A {\nvar x 1\nvar x 2\n}", "4: var: the variable x is there already; give this one another name"),
    "var taken": ("template IN A {\nvar len 2\n}", "3: var: 'len' means something else in expressions"),
    "var kinds": ("template IN A {\nvar x 2\nexpr x == 'a'\n}", "4: expr: == is not for int and string, but for comparable\n    x == 'a'\n      ^"),
    "var order": ("template IN A {\nexpr later == 1\nvar later 1\n}", "3: expr: unknown name 'later'"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(text: str, message: str) -> None:
    found = refusal(text)
    assert found == message or found.startswith(f"{message};")


def test_clients_may_differ() -> None:
    text = '. {{\ntemplate IN TXT {{\nanswer "{{{{ .Name }}}} 1 TXT {}"\n}}\n}}\n'
    assert Chain(text.format("{{ .Zone }}")).ask("a. TXT").keep_until == FOREVER
    answer = Chain(text.format("{{ .Remote }}")).ask("a. TXT")
    assert (answer.keep_until, told(answer)) == (0.0, "NOERROR; a. 1 TXT 10.0.0.9")
    assert Chain(text.format("{{ .Message.Id }}")).ask("a. TXT").keep_until == 0.0


def test_the_question_keeps_its_letter_case() -> None:
    """The name is lower case, as in CoreDNS: who wants the client's letter case takes the question's."""
    text = '. {\ntemplate IN TXT {\nanswer "{{ .Question.Name }} 1 TXT {{ .Name }}"\n}\n}\n'
    assert told(Chain(text).ask("a.test. TXT", spelling=b"\1A\4Test\0")) == (
        "NOERROR; A.Test. 1 TXT a.test."
    )


def test_the_extended_error_is_for_who_speaks_edns() -> None:
    server = Chain(". {\ntemplate IN A {\nrcode NXDOMAIN\nederror 15 no\n}\n}\n")
    assert server.ask("a. A").errors == (ExtendedError(15, "no"),)
    assert server.ask("a. A", edns=None).errors == ()


def test_types_that_nobody_knows_make_no_series_of_their_own() -> None:
    """Whoever asks chooses the type: 65,536 series would be theirs to make."""
    server = Chain(". {\nchaos\ntemplate ANY ANY {\nrcode NXDOMAIN\n}\n}\n")
    for qtype in (Type.A, 731, 732):
        server.ask("a. A", qtype=qtype)
    server.ask("a. A", qclass=77)
    lines = server.metrics.expose().decode().splitlines()
    series = 'coredns_template_matches_total{{class="{}",server="dns://:53",type="{}",view="",zone="."}} {}'
    assert {line for line in lines if line.startswith("coredns_template_matches_total")} == {
        series.format("IN", "A", 1.0),
        series.format("IN", "", 2.0),
        series.format("", "A", 1.0),
    }


def test_failures(caplog: pytest.LogCaptureFixture) -> None:
    """A slip in the Corefile, not in kdns: each is told in a line, and counted by the template to be mended."""
    text = '. {\nerrors\ntemplate IN A {\nanswer "{{ .Name }} 1 A x"\n}\ntemplate IN MX {\nadditional "{{ index .Match 7 }}"\n}\n}\n'
    server = Chain(text)
    for asked in ("a. A", "b. A", "a. MX"):
        answer = server.ask(asked)
        assert (answer.rcode, answer.keep_until) == (Rcode.SERVFAIL, 0.0)
    (_, _, mx) = (record.getMessage() for record in caplog.records)
    assert mx == "plugin/errors: 2 a. MX: template: index out of range: 7"
    lines = server.metrics.expose().decode().splitlines()
    series = 'coredns_template_{}_failures_total{{class="IN",section="{}",server="dns://:53",template="{}",type="{}",view="",zone="."}} {}'
    assert {
        line for line in lines if line.startswith("coredns_template_") and "failures" in line
    } == {
        series.format("rr", "answer", "{{ .Name }} 1 A x", "A", 2.0),
        series.format("template", "additional", "{{ index .Match 7 }}", "MX", 1.0),
    }


# ---- CoreDNS beside it

COREFILE = r"""
. {
    bind 127.0.0.1
    chaos
    template ANY ANY internal.cloudapp.net {
      match "^(?:[^.]+\.){4,}internal\.cloudapp\.net\.$"
      rcode NXDOMAIN
      fallthrough
    }
    template ANY ANY reddog.microsoft.com {
      rcode NXDOMAIN
    }
    template IN A example {
      match (^|[.])ip-(?P<a>[0-9]*)-(?P<b>[0-9]*)-(?P<c>[0-9]*)-(?P<d>[0-9]*)[.]example[.]$
      answer "{{ .Name }} 60 IN A {{ .Group.a }}.{{ .Group.b }}.{{ .Group.c }}.{{ .Group.d }}"
      fallthrough
    }
    template IN PTR in-addr.arpa {
      match ^(?P<d>[0-9]*)[.](?P<c>[0-9]*)[.](?P<b>[0-9]*)[.](?P<a>[0-9]*)[.]in-addr[.]arpa[.]$
      answer "{{ .Name }} 60 IN PTR ip-{{ .Group.a }}-{{ .Group.b }}-{{ .Group.c }}-{{ .Group.d }}.example."
    }
    template IN A hex.test {
      match "^ip0a(?P<b>[a-f0-9]{2})(?P<c>[a-f0-9]{2})(?P<d>[a-f0-9]{2})[.]hex[.]test[.]$"
      answer "{{ .Name }} 60 IN A 10.{{ parseInt .Group.b 16 8 }}.{{ parseInt .Group.c 16 8 }}.{{ parseInt .Group.d 16 8 }}"
      fallthrough
    }
    template IN MX mx.test {
      answer "{{ .Name }} 60 IN MX 10 {{ .Name }}"
      additional "{{ .Name }} 60 IN A 192.0.2.1"
      authority "mx.test. 60 IN NS ns0.mx.test."
      authority "mx.test. 60 IN NS ns1.mx.test."
    }
    template IN ANY foogle.com {
      match "^foogle\.com\.$"
      answer "foogle.com 60 IN CNAME a.target.test"
    }
    template IN A target.test {
      answer "{{ .Name }} 30 IN A 192.0.2.7"
    }
    template IN A fail.test {
      rcode SERVFAIL
    }
    template IN TXT text.test {
      answer "{{ .Name }} 5 TXT \"{{ .Class }} {{ .Type }} {{ .Zone }} {{ index .Match 0 }} {{ len .Match }} {{ .Question.Name }} {{ .Remote }}\""
      answer "{{ .Name }} 5 TXT \"{{ if eq .Zone `text.test.` }}yes{{ else }}no{{ end }}{{ range $i, $e := .Match }} {{ $i }}:{{ $e }}{{ end }} {{ printf `%03d %q` 7 .Zone | len }}\""
    }
    template IN A broken.test {
      answer "{{ .Name }} 60 IN A {{ .Group.nope }}"
    }
    template IN A refused.test {
      rcode REFUSED
      authority "refused.test. 60 IN SOA a. b. (1 2 3 4 5)"
    }
    template CH TXT chaos.test {
      answer "{{ .Name }} 7 CH TXT hello"
    }
    template IN A mixed.test {
      answer "{{ .Name }} 60 IN A 192.0.2.7"
      fallthrough
    }
    template IN AAAA mixed.test {
      rcode NOERROR
      authority "mixed.test. 60 IN SOA ns.mixed.test. h.mixed.test. (1 2 3 4 60)"
    }
}
"""
QUESTIONS: Final = (
    *("a.b.c.d.internal.cloudapp.net A", "a.b.internal.cloudapp.net A", "x.reddog.microsoft.com AAAA"),
    *("ip-10-1-2-3.example A", "x.IP-10-1-2-3.example A", "ip-10-1-2-3.example AAAA", "x.example A"),
    *("4.3.2.1.in-addr.arpa PTR", "3.2.1.in-addr.arpa PTR", "4.3.2.1.in-addr.arpa A", "ip0a7b7b7b.hex.test A"),
    *("a.mx.test MX", "a.mx.test MX +edns=4096", "a.mx.test A", "foogle.com A", "foogle.com TXT", "foogle.com AAAA"),
    *("x.foogle.com A", "b.fail.test A", "t.text.test TXT", "T.Text.test TXT", "a.refused.test A", "a.broken.test A"),
    *("a.chaos.test TXT +ch", "a.mixed.test A", "a.mixed.test AAAA", "a.mixed.test ANY", "a.mixed.test TXT"),
    *("foogle.com ANY", "a.target.test A +norec", "a.target.test A +tcp", "ip-999-1-2-3.example A"),
)  # fmt: skip


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peers]:
    running = Peers(COREFILE, Path(tmp_path_factory.mktemp("template")))
    yield running
    running.stop()


OF_THE_CLIENT: Final = {
    "field": "{{ .Remote }}",
    "index": "{{ index . `Remote` }}",
    "index, built name": "{{ index . (printf `Rem%s` `ote`) }}",
    "index of the root": "{{ index $ `Remote` }}",
    "piped index": "{{ `Remote` | index . }}",
    "with": "{{ with .Remote }}{{ . }}{{ end }}",
    "with the dot": "{{ with . }}{{ .Remote }}{{ end }}",
    "with a variable": "{{ with $x := . }}{{ index $x `Remote` }}{{ end }}",
    "variable": "{{ $x := . }}{{ $x.Remote }}",
    "assigned variable": "{{ $x := 1 }}{{ if true }}{{ $x = . }}{{ end }}{{ $x.Remote }}",
    "parentheses": "{{ (.).Remote }}",
    "range": "{{ range $name, $value := . }}{{ if eq $name `Remote` }}{{ $value }}{{ end }}{{ end }}",
    "range in a list": "{{ range .Match }}{{ $.Remote }}{{ end }}",
    "condition": "{{ if eq .Remote `10.0.0.9` }}near{{ else }}far{{ end }}",
    "logic": "{{ and true .Remote }}",
    "length": "{{ len .Remote }}",
    "message ID": "{{ .Message.Id }}",
    "message ID, index": "{{ index .Message `Id` }}",
    "message ID, variable": "{{ $m := .Message }}{{ with $m }}{{ .Id }}{{ end }}",
    "message, whole": "{{ len (printf `%v` .Message) }}",
    "AD bit": "{{ .Message.AuthenticatedData }}",
    "letter case": "{{ .Question.Name }}",
    "letter case, message": "{{ (index .Message.Question 0).Name }}",
    "metadata": "{{ .Meta `kubernetes/client-namespace` }}x",
    "metadata, index": "{{ with index . `Meta` }}x{{ end }}",
    "metadata, variable": "{{ $x := .Meta }}x",
}  # fmt: skip
"""What may come out differently for another client, or for another query of the same one."""

OF_THE_QUESTION: Final = {
    "name": "{{ .Name }}",
    "index": "{{ index . `Zone` }}",
    "type": "{{ .Question.Qtype }} {{ .Message.Question | len }} {{ .Message.RecursionDesired }}",
    "match": "{{ index .Match 0 }} {{ .Group.x }}",
    "with": "{{ with .Question }}{{ .Qclass }}{{ end }}",
    "not taken": "{{ if false }}{{ .Remote }}{{ end }}x",
    "logic": "{{ eq .Zone `.` }} {{ len . }}",
}


def cached_until(text: str) -> float:
    record = f'{{{{ .Zone }}}} 1 TXT \\"{text}\\"'
    found = Chain(f'. {{\nmetadata\ntemplate ANY ANY {{\nanswer "{record}"\n}}\n}}').ask("a. TXT")
    assert found.rcode == Rcode.NOERROR, found.errors
    return found.keep_until


@pytest.mark.parametrize("text", OF_THE_CLIENT.values(), ids=OF_THE_CLIENT)
def test_what_depends_on_the_client_is_not_cached(text: str) -> None:
    assert cached_until(text) == 0.0


@pytest.mark.parametrize("text", OF_THE_QUESTION.values(), ids=OF_THE_QUESTION)
def test_what_depends_on_the_question_alone_is_cached(text: str) -> None:
    assert cached_until(text) == FOREVER


@pytest.mark.parametrize("text", ["{{ eq .Message .Message }}", "{{ eq .Match .Match }}"])
def test_structs_and_lists_do_not_compare(text: str) -> None:
    with pytest.raises(TemplateError, match="cannot compare"):
        compile_template(text).execute(DATA)


def test_same_as_coredns(peers: Peers) -> None:
    check(peers, QUESTIONS, {})
