"""DNS cookies (RFC 7873, RFC 9018): the form, and what a cookie is bound to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdns.wire.cookies import respond

SECRET = bytes(range(16))
CLIENT = b"12345678"


@given(st.binary(min_size=8, max_size=40), st.ip_addresses(), st.floats(0, 2**33))
def test_form(cookie: bytes, client: object, now: float) -> None:
    made = respond(cookie, str(client), now, SECRET)
    assert len(made) == 24
    assert made[:8] == cookie[:8], "RFC 7873 section 5.2: the asker's own part comes back"
    assert made[8:12] == b"\1\0\0\0", "RFC 9018 section 4: version 1, reserved"
    assert int.from_bytes(made[12:16], "big") == int(now) % 2**32


def test_the_same_again() -> None:
    assert respond(CLIENT, "192.0.2.1", 7, SECRET) == respond(CLIENT, "192.0.2.1", 7.9, SECRET)


@pytest.mark.parametrize(
    "other",
    [
        (b"12345679", "192.0.2.1", 7, SECRET),
        (CLIENT, "192.0.2.2", 7, SECRET),
        (CLIENT, "2001:db8::1", 7, SECRET),
        (CLIENT, "192.0.2.1", 8, SECRET),
        (CLIENT, "192.0.2.1", 7, bytes(16)),
    ],
    ids=["client cookie", "address", "family", "time", "secret"],
)
def test_what_it_is_bound_to(other: tuple[bytes, str, float, bytes]) -> None:
    assert respond(*other)[16:] != respond(CLIENT, "192.0.2.1", 7, SECRET)[16:]


def test_a_link_local_asker_has_a_scope() -> None:
    assert len(respond(CLIENT, "fe80::1%eth0", 7, SECRET)) == 24
