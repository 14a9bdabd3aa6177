"""The key and certificate of a TLS listener: read at the start, and again when the files change.

A ``ssl.SSLContext`` is made whole or not at all, so a key that does not belong to the certificate (one
file is written, the other not yet) leaves what is in use. Who renews certificates tells nobody: the
files are looked at every second, which costs three ``stat``.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from typing import Final

from kdns.config.tree import ConfigError, Option
from kdns.plugins.tls import Settings
from kdns.sources.noticing import Signature, signature
from kdns.whole_file import check_regular

logger: Final = logging.getLogger("kdns.certificates")

LOOK: Final = 1.0
"""Seconds between two looks at the files."""

APPLICATION: Final = "dot"
"""The protocol's name in the handshake, for clients that ask (RFC 7301, IANA's registry)."""


class Certificate:
    """``settings`` with the paths as they are opened; ``directive`` is where errors are to point."""

    def __init__(self, settings: Settings, directive: Option) -> None:
        self.settings, self.directive = settings, directive
        paths = (settings.certificate, settings.key, settings.authority)
        self._paths = tuple(path for path in paths if path)
        self._seen: Signature = ()
        self._context: ssl.SSLContext | None = None

    @property
    def context(self) -> ssl.SSLContext:
        """For the handshakes from now on."""
        assert self._context is not None, "loaded before anything listens"
        return self._context

    def load(self) -> None:
        """Read the files. Raises ``ConfigError`` when there is nothing to be used in them."""
        seen = signature(self._paths)  # before they are read: what changes meanwhile counts
        try:
            self._context = make_context(self.settings, self.directive)
        except ConfigError:
            self._seen = seen
            raise
        self._seen = seen

    async def run(self) -> None:
        """Follow changes until cancelled."""
        while True:
            await asyncio.sleep(LOOK)
            if signature(self._paths) != self._seen:
                await self._renew()

    async def _renew(self) -> None:
        try:
            await asyncio.to_thread(self.load)
        except ConfigError as error:
            logger.warning("%s; going on with what was last read", error)
        else:
            logger.info("%s has changed, read again", self.settings.certificate)


def make_context(settings: Settings, directive: Option) -> ssl.SSLContext:
    """TLS 1.2 or later, as the peer; further choices are OpenSSL's. Raises ``ConfigError``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols([APPLICATION])
    trying = ""
    try:
        # One by one, since OpenSSL's errors do not say which file they are about.
        for trying in filter(None, (settings.certificate, settings.key, settings.authority)):
            check_regular(trying)
        trying = f"{settings.certificate} with {settings.key}"
        context.load_cert_chain(settings.certificate, settings.key, password=_no_password)
        if settings.asks_clients:
            context.verify_mode = ssl.CERT_OPTIONAL
            if settings.wants_clients:
                context.verify_mode = ssl.CERT_REQUIRED
            trying = settings.authority or "the system's authorities"
            _trust(context, settings.authority)
        if settings.keylog:
            trying = settings.keylog
            context.keylog_filename = settings.keylog
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        directive.fail(f"cannot use {trying}: {_reason(error)}")
    return context


def _trust(context: ssl.SSLContext, authority: str) -> None:
    if authority:
        context.load_verify_locations(authority)
    else:
        context.load_default_certs(ssl.Purpose.CLIENT_AUTH)


def _no_password() -> bytes:
    """Instead of asking at the terminal."""
    raise ValueError("the key is encrypted; expected one without a password")


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return _MEANT.get(error.reason or "", error.reason or "it holds no PEM of that kind")
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


_MEANT: Final = {
    "KEY_VALUES_MISMATCH": "the key does not belong to the certificate",
    "NO_START_LINE": "it holds no PEM of that kind",
    "NO_CERTIFICATE_OR_CRL_FOUND": "it holds no certificate in PEM",
}
