"""What is saved comes back as it was, and what is not a whole snapshot is told apart from one."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256

import pytest

from kdns.records.objects import Endpoint, Kind, Namespace, Object, Port, Service, Slice
from kdns.records.snapshot import CHUNK, MARK, Header, Snapshot, SnapshotError, decode, encode

WEB = Service("shop", "web", cluster_ips=("10.96.0.7",), ports=(Port("http", "tcp", 80),))
MANY: tuple[Object, ...] = tuple(Namespace(f"n{number}") for number in range(2 * CHUNK + 1))
SNAPSHOT = Snapshot(
    Header(taken_at=1700000000.5, address="https://10.0.0.1:6443", selection="context dev"),
    {
        Kind.SERVICE: (WEB, Service("shop", "x", external_name="ä.example")),
        Kind.NAMESPACE: MANY,
        Kind.SLICE: (Slice("shop", "web-1", "web", (Endpoint(("10.0.0.1",), ready=False),)),),
        Kind.POD: (),
    },
)
LINES = list(encode(SNAPSHOT))


def test_it_comes_back_as_it_was() -> None:
    assert decode(LINES) == SNAPSHOT
    assert LINES[0].startswith(MARK)


def test_objects_of_other_versions() -> None:
    """Kinds and fields that are not known are passed over, fields that are missing have defaults."""
    other = json.loads(LINES[1]) | {"of": "later"}
    other["objects"][0] = {"namespace": "shop", "name": "web", "colour": "blue"}
    gadgets = {"kind": "gadgets", "objects": [{"name": "g"}]}
    read = decode(_signed([LINES[0], _line(other), _line(gadgets)]))
    assert read.objects == {
        Kind.SERVICE: (Service("shop", "web"), *SNAPSHOT.objects[Kind.SERVICE][1:])
    }


def _line(value: object) -> bytes:
    return json.dumps(value).encode() + b"\n"


def _signed(lines: list[bytes]) -> list[bytes]:
    return [*lines, _line({"sha256": sha256(b"".join(lines)).hexdigest()})]


BROKEN: dict[str, tuple[Callable[[], list[bytes]], str]] = {
    "empty": (list, "not a snapshot of kdns"),
    "something else": (lambda: [b"root:x:0:0\n"], "not a snapshot of kdns"),
    "other JSON": (lambda: [b'{"apiVersion": "v1"}\n'], "not a snapshot of kdns"),
    "a header only": (lambda: LINES[:1], "damaged: its end is missing"),
    "a line is missing": (lambda: [*LINES[:2], *LINES[3:]], "damaged: its checksum"),
    "cut within a line": (lambda: [*LINES[:2], LINES[2][:30]], "damaged: "),
    "an octet is another one": (
        lambda: [LINES[0], LINES[1].replace(b"10.96.0.7", b"10.96.0.8"), *LINES[2:]],
        "damaged: its checksum",
    ),
    "objects of the wrong shape": (
        lambda: _signed([LINES[0], _line({"kind": "services", "objects": [{"name": 7}]})]),
        "damaged: Expected `str`",
    ),
    "no text": (
        lambda: [LINES[0], LINES[1].replace(b"10.96.0.7", b"10.96.0.\xff")],
        "damaged: 'utf-8' codec",
    ),
    "no text in what is passed over": (
        lambda: [LINES[0], b'{"kind": "\xff", "objects": []}\n'],
        "damaged: 'utf-8' codec",
    ),
    "nested without end": (
        lambda: [LINES[0], b'{"kind": "services", "more": ' + b"[" * 100_000],
        "damaged: maximum recursion depth",
    ),
    "a newer format": (
        lambda: _signed([_line({"kdns_snapshot": 2, "when": "now"})]),
        "format 2 is of a newer kdns; this one reads 1",
    ),
    "a header that lacks something": (lambda: [b'{"kdns_snapshot": 1}\n'], "not a snapshot"),
}


@pytest.mark.parametrize(("lines", "message"), BROKEN.values(), ids=BROKEN)
def test_what_cannot_be_used(lines: Callable[[], list[bytes]], message: str) -> None:
    with pytest.raises(SnapshotError, match=f"^{message}"):
        decode(lines())
