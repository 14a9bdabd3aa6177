"""Keys and certificates of a control plane, made by the ``openssl`` program."""

from __future__ import annotations

import subprocess
from pathlib import Path

_SERVER_NAMES = (
    "subjectAltName=DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,"
    "DNS:kubernetes.default.svc.cluster.local,IP:127.0.0.1,IP:10.96.0.1,IP:fd00:10:96::1,DNS:dns.foo.com"
)


class Authority:
    """A certificate authority in ``folder``, which signs what the control plane needs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self.certificate = folder / "ca.crt"
        key = self.key("ca")
        _openssl(
            *("req", "-x509", "-new", "-key", key, "-subj", "/CN=kdns-test-ca", "-days", "30"),
            *(
                "-out",
                self.certificate,
                "-addext",
                "keyUsage=critical,keyCertSign,digitalSignature",
            ),
        )

    def key(self, name: str) -> Path:
        """A fresh P-256 private key."""
        path = self.folder / f"{name}.key"
        _openssl("ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", path)
        return path

    def server(self, name: str) -> tuple[Path, Path]:
        """Certificate and key of a server on loopback."""
        return self._sign(name, f"/CN={name}", _SERVER_NAMES)

    def client(self, name: str, user: str, group: str = "") -> tuple[Path, Path]:
        """Certificate and key that authenticate as ``user`` in ``group``."""
        subject = f"/O={group}/CN={user}" if group else f"/CN={user}"
        return self._sign(name, subject, "extendedKeyUsage=clientAuth")

    def _sign(self, name: str, subject: str, extension: str) -> tuple[Path, Path]:
        key = self.key(name)
        certificate, request, extensions = (
            self.folder / f"{name}.{suffix}" for suffix in ("crt", "csr", "ext")
        )
        extensions.write_text(extension)
        _openssl("req", "-new", "-key", key, "-subj", subject, "-out", request)
        _openssl(
            *("x509", "-req", "-in", request, "-CA", self.certificate, "-days", "30"),
            *("-CAkey", self.folder / "ca.key", "-CAcreateserial"),
            *("-extfile", extensions, "-out", certificate),
        )
        return certificate, key


def _openssl(*arguments: str | Path) -> None:
    done = subprocess.run(
        ["openssl", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"openssl {arguments[0]}: {done.stderr.strip()}")
