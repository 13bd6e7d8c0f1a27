"""Exit codes of every command."""

from __future__ import annotations

from lvmcheck.text.commands import BAD_INPUT as BAD_INPUT
from lvmcheck.text.commands import INTERNAL as INTERNAL
from lvmcheck.text.commands import INTERRUPTED as INTERRUPTED
from lvmcheck.text.commands import NO_READER as NO_READER

PASSED, FAILED = 0, 1
UNDECIDED = INTERNAL
"""Of a comparison: no verdict, because nothing in the runs decides it; the message says which of both it is."""
