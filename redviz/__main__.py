"""``python -m redviz`` is the command ``redviz``."""

import sys

from redviz.cli import main

sys.exit(main())
