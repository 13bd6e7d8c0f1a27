"""``python -m lvmcheck``: the command ``lvmcheck``."""

from __future__ import annotations

import sys

from lvmcheck.commands.main import main

sys.exit(main())
