"""``-p`` of the commands that ask a server."""

from __future__ import annotations

import pytest

from kdns.cli.main import main


@pytest.mark.parametrize("command", [["query", "a.test"], ["dump", "a.test", "@127.0.0.1"]])
@pytest.mark.parametrize("text", ["0", "65536", "-1", "http", "٣"])
def test_what_is_no_port_is_told(
    command: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*command, f"--port={text}"])
    assert ended.value.code == 2
    message = capsys.readouterr().err
    assert f"argument -p/--port: expected a port of 1 to 65535, found {text!r}" in message
