"""``python -m redviz`` is the command ``redviz``."""

import sys

from redviz.cli.main import main

sys.exit(main())
