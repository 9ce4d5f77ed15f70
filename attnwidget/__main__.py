"""`python -m attnwidget`, which is the command `attnwidget`."""

import sys

from .cli import main

sys.exit(main())
