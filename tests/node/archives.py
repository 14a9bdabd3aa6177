"""Container images from layers that are tar files, without a registry: an OCI image layout in one tar file.

https://github.com/opencontainers/image-spec/blob/main/image-layout.md; ``ctr images import`` and
``buildah pull oci-archive:`` read it.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

_TYPE: Final = "application/vnd.oci.image"

Config = Mapping[str, Any]
"""What an image's ``config`` holds: Entrypoint, Cmd, Env, User."""


class Image(NamedTuple):
    """An image to be written, under each of its names."""

    names: tuple[str, ...]
    layers: tuple[Path, ...]
    config: Config


def write(path: Path, images: Iterable[Image]) -> None:
    """Write the archive; a layer that several images have is in it once."""
    part = path.with_suffix(".part")
    with tarfile.open(part, "w") as tar:
        blobs = _Blobs(tar)
        manifests = [entry for image in images for entry in _entries(blobs, image)]
        blobs.file("oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
        blobs.file("index.json", json.dumps({"schemaVersion": 2, "manifests": manifests}).encode())
    part.rename(path)


class _Blobs:
    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self._stored: set[str] = set()

    def file(self, name: str, data: bytes) -> None:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        self._tar.addfile(info, io.BytesIO(data))

    def json(self, kind: str, value: object) -> dict[str, Any]:
        data = json.dumps(value).encode()
        digest = hashlib.sha256(data).hexdigest()
        if digest not in self._stored:
            self._stored.add(digest)
            self.file(f"blobs/sha256/{digest}", data)
        return _descriptor(kind, digest, len(data))

    def layer(self, path: Path) -> dict[str, Any]:
        with path.open("rb") as layer:
            digest = hashlib.file_digest(layer, "sha256").hexdigest()
        if digest not in self._stored:
            self._stored.add(digest)
            self._tar.add(path, f"blobs/sha256/{digest}")
        return _descriptor("layer.v1.tar", digest, path.stat().st_size)


def _descriptor(kind: str, digest: str, size: int) -> dict[str, Any]:
    return {"mediaType": f"{_TYPE}.{kind}", "digest": f"sha256:{digest}", "size": size}


def _entries(blobs: _Blobs, image: Image) -> list[dict[str, Any]]:
    layers = [blobs.layer(path) for path in image.layers]
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": image.config,
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]},
        "history": [{"created_by": path.name} for path in image.layers],
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{_TYPE}.manifest.v1+json",
        "config": blobs.json("config.v1+json", config),
        "layers": layers,
    }
    descriptor = blobs.json("manifest.v1+json", manifest)
    return [{**descriptor, "annotations": _called(name)} for name in image.names]


def _called(name: str) -> dict[str, str]:
    return {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name}
