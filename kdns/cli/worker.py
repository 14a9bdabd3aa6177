"""``python -m kdns.cli.worker FD``: a worker process, started by the server and by nobody else."""

from __future__ import annotations

import asyncio
import sys

from kdns.cli import logs
from kdns.server.process import loop_factory
from kdns.server.worker import serve


def main() -> None:
    logs.set_up()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(serve(int(sys.argv[1])))


if __name__ == "__main__":
    main()
