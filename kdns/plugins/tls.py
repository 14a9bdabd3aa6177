"""``tls CERTIFICATE KEY [CA] { client_auth …; keylog FILE }``: what a ``tls://`` listener shows and wants.

The files are read by whoever listens; here is only what the directive says.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from kdns.config.tree import Option, ServerBlock
from kdns.plugins.options import read_options
from kdns.plugins.root import rooted

NAME: Final = "tls"
SYNTAX: Final = "takes a certificate and its key (paths of PEM files), and the CA of clients"

CLIENT_AUTH: Final = ("nocert", "request", "require", "verify_if_given", "require_and_verify")
_CLOSEST: Final = {
    "request": "clients are not asked for a certificate: nothing would be done with it",
    "require": "the certificate is verified as well: one that nobody verifies proves nothing",
}
"""What this server does for the modes in which certificates are not looked at."""


class Settings(Struct, frozen=True):
    """What the directive says. Paths are relative to ``root``, or else to the working folder."""

    certificate: str
    """With the certificates of intermediate authorities, if any, after it."""
    key: str
    authority: str = ""
    """Who signs the certificates of clients; "" for those that the system trusts."""
    client_auth: str = "nocert"
    keylog: str = ""
    """Where the session keys are written for debugging; "" for nowhere."""
    warnings: tuple[str, ...] = ()

    @property
    def asks_clients(self) -> bool:
        """Whether clients are asked for a certificate."""
        return self.client_auth in {"require", "verify_if_given", "require_and_verify"}

    @property
    def wants_clients(self) -> bool:
        """Whether clients without one are refused."""
        return self.client_auth in {"require", "require_and_verify"}


def rooted_settings(settings: Settings, block: ServerBlock) -> Settings:
    """With the paths as they are opened."""
    certificate, key = rooted(settings.certificate, block), rooted(settings.key, block)
    authority = settings.authority and rooted(settings.authority, block)
    keylog = settings.keylog and rooted(settings.keylog, block)
    return replace(
        settings, certificate=certificate, key=key, authority=authority, keylog=keylog, warnings=()
    )


def parse(directive: Option) -> Settings:
    """Raises ``ConfigError``."""
    if not directive.args and any(option.name == "acme" for option in directive.options):
        directive.fail(f"certificates are not fetched by ACME here; {NAME} {SYNTAX}")
    if len(directive.args) not in {2, 3}:
        directive.fail(f"{SYNTAX}, got {len(directive.args)} arguments")
    certificate, key, *authority = directive.args
    settings = Settings(certificate, key, "".join(authority))
    return read_options(directive, settings, _OPTIONS)


def _client_auth(settings: Settings, option: Option) -> Settings:
    mode = option.one()
    if mode not in CLIENT_AUTH:
        option.fail(f"unknown mode {mode!r}; expected {', '.join(CLIENT_AUTH)}")
    warnings = settings.warnings
    if mode in _CLOSEST:
        warnings = (*warnings, f"{option.location}: client_auth {mode}: {_CLOSEST[mode]}")
    return replace(settings, client_auth=mode, warnings=warnings)


def _keylog(settings: Settings, option: Option) -> Settings:
    path = option.one()
    warning = f"{option.location}: keylog: who reads {path} can read what clients ask"
    return replace(settings, keylog=path, warnings=(*settings.warnings, warning))


_OPTIONS: Final[dict[str, Callable[[Settings, Option], Settings]]] = {
    "client_auth": _client_auth,
    "keylog": _keylog,
}
