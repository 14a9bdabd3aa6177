"""``python -m kdns``, and what the command ``kdns`` runs."""

import sys

from kdns.cli import early


def main() -> int:
    """The exit status; see ``kdns.cli.main``."""
    early.listen(sys.argv)
    from kdns.cli.main import main as run  # noqa: PLC0415 - it takes what ``early`` must not wait for

    return run()


if __name__ == "__main__":
    sys.exit(main())
