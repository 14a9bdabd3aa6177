"""``python -m kdns``, and what the command ``kdns`` runs."""

import os
import sys
from _signal import (  # type: ignore[import-not-found] # ``signal`` without its enums
    SIG_DFL,
    SIGINT,
    default_int_handler,
    getsignal,
    signal,
)

from kdns.cli import early


def main() -> int:
    """The exit status; see ``kdns.cli.main``."""
    # Ctrl-C while modules are imported ends it at once.
    if getsignal(SIGINT) is default_int_handler:
        signal(SIGINT, SIG_DFL)
    _open_streams()
    early.listen(sys.argv)
    from kdns.cli.main import main as run  # noqa: PLC0415 - it takes what ``early`` must not wait for

    return run()


def _open_streams() -> None:
    """Nothing that is printed fails: a closed stream would hand its number to the first socket.

    Characters that a terminal does not have are written as escapes.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            null = open(os.devnull, mode, encoding="utf-8")  # noqa: SIM115 - for as long as we run
            setattr(sys, name, null)
        elif mode == "w":
            stream.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    sys.exit(main())
