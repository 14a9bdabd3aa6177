"""What is said of a connection that fails."""

from __future__ import annotations

import errno
import ssl
from socket import gaierror

import pytest

from kdns.sources.exchange import system_words

CERTIFICATE = "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (gaierror(-2, "Name or service not known"), "Name or service not known"),
        (
            OSError(errno.ECONNRESET, "Connect call failed ('10.0.0.1', 6443)"),
            "Connection reset by peer",
        ),
        (ssl.SSLCertVerificationError(1, CERTIFICATE), CERTIFICATE),
        (OSError("Multiple exceptions: one, two"), "Multiple exceptions: one, two"),
    ],
)
def test_the_system_s_words(error: OSError, expected: str) -> None:
    assert system_words(error) == expected
