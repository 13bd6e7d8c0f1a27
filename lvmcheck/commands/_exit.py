"""Exit codes of every command."""

from __future__ import annotations

PASSED, FAILED, BAD_INPUT, INTERNAL, NO_READER = 0, 1, 2, 3, 141
"""Nothing failed, something failed, bad input, internal error, the reader of the output is gone (128 + SIGPIPE)."""
UNDECIDED = INTERNAL
"""Of a comparison: no verdict, because nothing in the runs decides it; the message says which of both it is."""
INTERRUPTED = 130
"""By the keyboard (128 + SIGINT)."""
