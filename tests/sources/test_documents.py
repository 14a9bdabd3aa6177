"""Reading manifest files: formats, hostile input, and the line that a complaint names."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from kdns.records import cluster, declared
from kdns.sources import documents, yaml_documents
from kdns.sources.documents import ManifestError
from kdns.sources.yaml_documents import DocumentError

SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n"


def found(path: Path, text: str | bytes) -> list[str]:
    """Return what a file declares, as ``line kind namespace/name``."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return [
        f"{placed.place.removeprefix(str(path)).lstrip(':') or '-'} {placed.declared.kind}"
        f" {placed.declared.namespace}/{placed.declared.name}"
        for placed in documents.read(path)
    ]


def item(name: str, kind: str = "Service") -> dict[str, object]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}}


FORMATS = {
    "one": ("a.yaml", SERVICE, ["1 Service default/web"]),
    "documents": (
        "a.yml",
        f"# first\n---\n{SERVICE}---\n---\n# nothing\n---\n{SERVICE.replace('web', 'api')}...\n",
        ["3 Service default/web", "10 Service default/api"],
    ),
    "list": (
        "a.yaml",
        (
            "apiVersion: v1\nkind: List\nitems:\n"
            "- {apiVersion: v1, kind: Service, metadata: {name: a, namespace: n}}\n"
            "- {apiVersion: apps/v1, kind: Deployment, metadata: {name: b}}\n"
            "- {apiVersion: v1, kind: Namespace, metadata: {name: n}}\n"
        ),
        ["4 Service n/a", "6 Namespace /n"],
    ),
    "typed list": (
        "a.yaml",
        "apiVersion: v1\nkind: PodList\nitems:\n- metadata: {name: a}\n- metadata: {name: b}\n",
        ["4 Pod default/a", "5 Pod default/b"],
    ),
    "empty list": ("a.yaml", "apiVersion: v1\nkind: List\nitems: []\n", []),
    "json": ("a.json", json.dumps(item("a"), indent="\t"), ["- Service default/a"]),
    "json list": (
        "a.json",
        json.dumps({"apiVersion": "v1", "kind": "List", "items": [item("a"), item("b", "Pod")]}),
        ["- Service default/a", "- Pod default/b"],
    ),
    "json in yaml": ("a.yaml", json.dumps(item("a")), ["1 Service default/a"]),
    "byte order mark": (
        "a.json",
        b"\xef\xbb\xbf" + json.dumps(item("a")).encode(),
        ["- Service default/a"],
    ),
    "utf-16": ("a.yaml", SERVICE.encode("utf-16"), ["1 Service default/web"]),
    "nothing": ("a.yaml", "", []),
    "nothing in json": ("a.json", " \n", []),
    "comments": ("a.yaml", "# only\n", []),
    "windows": ("a.yaml", SERVICE.replace("\n", "\r\n"), ["1 Service default/web"]),
    "merge": (
        "a.yaml",
        (
            "x: &meta {name: a, namespace: n}\napiVersion: v1\nkind: Service\n"
            "metadata:\n  name: own\n  <<: *meta\n"
        ),
        ["1 Service n/own"],
    ),
    "date as a name": (
        "a.yaml",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: 2024-01-01, creationTimestamp: 2024-01-01T00:00:00Z}\n",
        ["1 Pod default/2024-01-01"],
    ),
}


@pytest.mark.parametrize(("name", "text", "expected"), FORMATS.values(), ids=FORMATS.keys())
def test_formats(tmp_path: Path, name: str, text: str | bytes, expected: list[str]) -> None:
    assert found(tmp_path / name, text) == expected


LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join(['*' + old] * 10)}]\n"
    for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
BROKEN = {
    "syntax": (
        "a.yaml",
        "a: [1, 2\nb: 3\n",
        "2: did not find expected ',' or ']' (while parsing a flow sequence)",
    ),
    "tabs": (
        "a.yaml",
        "a:\n\tb: 1\n",
        "2: found a tab; YAML is indented by spaces",
    ),
    "key twice": (
        "a.yaml",
        f"{SERVICE}spec:\n  type: NodePort\n  ports: []\n  type: ClusterIP\n",
        "7: the key 'type' comes twice, first in line 5",
    ),
    "key no string": ("a.yaml", f"{SERVICE}8080: x\n", "4: the key 8080 is not a string: quote it"),
    "scalar": ("a.yaml", "---\nhello\n", "2: not a Kubernetes object: a mapping is expected"),
    "sequence": ("a.yaml", "\n- a\n", "2: not a Kubernetes object: a mapping is expected"),
    "no kind": (
        "a.yaml",
        "image: x\n",
        "1: not a Kubernetes object: apiVersion and kind must be strings",
    ),
    "item": (
        "a.yaml",
        "apiVersion: v1\nkind: List\nitems: [a]\n",
        "1: not a Kubernetes object: items must be mappings",
    ),
    "number": (
        "a.yaml",
        f"{SERVICE}---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: db\nspec:\n  hostname: 123\n",
        "10: Pod default/db: spec.hostname: Expected `str`, got `int`: quote it",
    ),
    "boolean": (
        "a.yaml",
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: on\n",
        "4: Service default/True: metadata.name: Expected `str`, got `bool`: quote it",
    ),
    "label": (
        "a.yaml",
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: a\n  labels:\n    app: web\n    version: 1.10\n",
        "7: Service default/a: metadata.labels[...]: Expected `str`, got `float`: quote it",
    ),
    "port": (
        "a.yaml",
        f"{SERVICE}spec:\n  ports:\n  - port: 80\n  - name: x\n    port: 70000\n",
        "8: Service default/web: spec.ports[1].port: Expected `int` <= 65535",
    ),
    "address": (
        "a.yaml",
        f"{SERVICE}spec:\n  externalIPs:\n  - 1.2.3.4\n  - 1.2.3\n",
        "5: Service default/web: spec.externalIPs: '1.2.3' is not an IP address",
    ),
    "in a list": (
        "a.yaml",
        "apiVersion: v1\nkind: ServiceList\nitems:\n- metadata:\n    name: a\n    namespace: A\n",
        "6: Service A/a: metadata.namespace: not a valid name (RFC 1123): a-z, 0-9 and '-' are expected",
    ),
    "deep": ("a.yaml", "[" * 1_000_000, "1: nested more than 100 levels deep"),
    "laughs": ("a.yaml", LAUGHS, "6: aliases stand for more than 1000000 values"),
    "circle": ("a.yaml", "a: &a [*a]\n", "1: found undefined alias 'a'"),
    "python": (
        "a.yaml",
        "!!python/object/apply:os.system [true]\n",
        "1: the tag tag:yaml.org,2002:python/object/apply:os.system is not allowed",
    ),
    "binary": (
        "a.yaml",
        "a: b\nc: !!binary aGk=\n",
        "2: the tag tag:yaml.org,2002:binary is not allowed",
    ),
    "merge": ("a.yaml", "a: b\n<<: c\n", "2: << needs a mapping, or a list of mappings"),
    "not UTF-8": ("a.yaml", b"a: b\nc: \xff\n", "2: invalid leading UTF-8 octet"),
    "control character": ("a.yaml", b"a: b\nc: \x01\n", "2: control characters are not allowed"),
    "json syntax": ("a.json", '{"a":\n tru}', "2: Expecting value (column 2)"),
    "json twice": ("a.json", '{"a": 1, "a": 2}', "1: the key 'a' comes twice in one object"),
    "json not UTF-8": ("a.json", b'{"a":\n"\xff"}', "2: not UTF-8"),
    "json deep": ("a.json", "[" * 200_000, "1: nested too deeply"),
    "json surrogate": (
        "a.json",
        '{"a": "\\ud800"}',
        "1: a \\u escape is half of a surrogate pair",
    ),
    "json scalar": ("a.json", "1", "1: not a Kubernetes object: a mapping is expected"),
    "json field": (
        "a.json",
        json.dumps(item("A")),
        " Service default/A: metadata.name: not a valid name (RFC 1123): a-z, 0-9 and '-' are expected",
    ),
}


@pytest.mark.parametrize(("name", "text", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_says_where_and_what(tmp_path: Path, name: str, text: str | bytes, message: str) -> None:
    start = time.thread_time()
    with pytest.raises(ManifestError) as caught:
        found(tmp_path / name, text)
    assert str(caught.value) == f"{tmp_path / name}:{message}"
    assert time.thread_time() - start < 5


def test_says_why_a_file_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"a\.yaml: No such file or directory$"):
        documents.read(tmp_path / "a.yaml")
    with pytest.raises(ManifestError, match=r"Is a directory$"):
        documents.read(tmp_path)


def test_limits_the_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MAX_BYTES", 1024 * 1024)
    (tmp_path / "a.yaml").write_bytes(b"#" * (1024 * 1024 + 1))
    with pytest.raises(ManifestError, match=r"a\.yaml: is larger than 1048576 bytes$"):
        documents.read(tmp_path / "a.yaml")


@pytest.mark.parametrize("kind", ["Service", "Pod", "Endpoints", "Namespace", "EndpointSlice"])
@given(st.data())
def test_any_fields_give_an_object_or_a_refusal(kind: str, data: st.DataObject) -> None:
    version = "discovery.k8s.io/v1" if kind == "EndpointSlice" else "v1"
    fields = ["name", "namespace", "labels", "ports", "port", "selector", "clusterIP", "clusterIPs"]
    fields += [
        "podIP",
        "subsets",
        "addresses",
        "ip",
        "endpoints",
        "status",
        "externalIPs",
        "hostname",
    ]
    inner = st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.sampled_from(["a", "1.2.3.4", "::1", "None", ""]),
        lambda each: (
            st.lists(each, max_size=3) | st.dictionaries(st.sampled_from(fields), each, max_size=4)
        ),
        max_leaves=12,
    )
    metadata = st.fixed_dictionaries({"name": st.just("a")}) | inner
    document = {"apiVersion": version, "kind": kind, "metadata": data.draw(metadata)}
    for part in ("spec", "status", "subsets", "endpoints", "ports", "addressType"):
        document[part] = data.draw(inner)
    try:
        made = declared.read(document)
    except declared.RefusedError:
        return
    assert made is not None
    assert cluster.assemble([made], cluster.Selection(pods=True))


SCALARS = {
    "yes": True, "Off": False, "TRUE": True, "null": None, "~": None, "": None, "y": "y", "oN": "oN",
    "12": 12, "-3": -3, "+5": 5, "0x1F": 31, "0o17": 15, "017": 15, "0b11": 3, "1_000": 1000, "0": 0,
    "08": 8.0, "1.5": 1.5, "1e3": 1000.0, "0E0": 0.0, ".5": 0.5, "-.": "-.", "0x_": "0x_", "1.2.3": "1.2.3",
    "1:20": "1:20",
    "2024-01-01": "2024-01-01", "-": "-", "'12'": "12", '"on"': "on", "!!str 12": "12", "! 12": "12",
    "!!int '12'": 12, "9" * 40: 1e40,
}  # fmt: skip


@pytest.mark.parametrize(("text", "value"), SCALARS.items(), ids=SCALARS.keys())
def test_scalars(text: str, value: object) -> None:
    [document] = yaml_documents.parse(f"a: {text}\n".encode() if text != "-" else b"a: '-'\n")
    assert document.value == {"a": value}
    assert isinstance(document.value, dict)
    assert type(document.value["a"]) is type(value)


def _reads_alike(text: str) -> bool:
    """Not ``1e3``, ``08``, ``0o17``: PyYAML (YAML 1.1) writes such strings as what Go reads as numbers."""
    try:
        float(text)
    except ValueError:
        return not text.lower().lstrip("+-").startswith("0o")
    return yaml.safe_dump(text).startswith("'")


texts = st.text().filter(_reads_alike)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | texts
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


@given(values)
@example({"<<": {}})
def test_reads_what_another_yaml_library_writes(value: object) -> None:
    if "<<" in json.dumps(value):
        return  # means something else as a key
    [document] = yaml_documents.parse(yaml.safe_dump(value).encode())
    assert _close(document.value, value)


def _close(left: object, right: object) -> bool:
    if isinstance(left, float) or isinstance(right, float):
        return (
            isinstance(left, (int, float))
            and isinstance(right, (int, float))
            and math.isclose(left, right)
        )
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_close, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_close(left[key], right[key]) for key in left)
    return left == right


@given(
    st.binary(max_size=60)
    | st.text(alphabet="a: -[]{}&*!|>'\"\n\t#,?<%", max_size=60).map(str.encode)
)
def test_any_bytes_are_documents_or_an_error_with_a_line(text: bytes) -> None:
    try:
        list(yaml_documents.parse(text))
    except DocumentError as error:
        line = error.line
    else:
        return
    assert 1 <= line <= text.count(b"\n") + text.count(b"\r") + 5
