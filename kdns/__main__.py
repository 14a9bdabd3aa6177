"""``python -m kdns``."""

import sys

from kdns.cli.main import main

sys.exit(main())
