"""``python -m models``."""

from __future__ import annotations

import sys

from models.commands.main import main

sys.exit(main())
