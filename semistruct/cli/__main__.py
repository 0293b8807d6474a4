"""``python -m semistruct.cli``."""

import sys

from semistruct.cli import main

sys.exit(main())
