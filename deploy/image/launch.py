"""/coredns and /usr/local/bin/kdns of the image: which of the two it is, kdns sees by the name."""

import sys

from kdns.__main__ import main

sys.exit(main())
