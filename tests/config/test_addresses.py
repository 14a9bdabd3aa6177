from __future__ import annotations

import pytest

from kdns.config.addresses import Address, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (":8080", Address("", 8080)),
        ("localhost:9153", Address("localhost", 9153)),
        ("127.0.0.1:0", Address("127.0.0.1", 0)),
        ("[::1]:65535", Address("::1", 65535)),
    ],
)
def test_addresses_are_read_and_written(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("8080", "'8080' has no port; expected HOST:PORT or :PORT"),
        ("", "'' has no port; expected HOST:PORT or :PORT"),
        ("[::1]", "'[::1]' has no port; expected HOST:PORT or :PORT"),
        ("::1:80", "'::1:80' has too many colons; write an IPv6 address as [ADDRESS]:PORT"),
        (":http", "':http' has no valid port; expected a number of 0 to 65535"),
        (":65536", "':65536' has no valid port; expected a number of 0 to 65535"),
        (":", "':' has no valid port; expected a number of 0 to 65535"),
        (":\uff19", "':\uff19' has no valid port; expected a number of 0 to 65535"),
        (":" + "0" * 9, f"':{'0' * 9}' has no valid port; expected a number of 0 to 65535"),
    ],
)
def test_bad_addresses_say_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  (the whole text is compared)
        parse_address(text)
    assert str(caught.value) == message
