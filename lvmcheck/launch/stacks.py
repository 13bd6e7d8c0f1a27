"""Stacks of a trainer: the signals that make it write them, and the file; apart, because every trainer imports this."""

from __future__ import annotations

import signal

WHERE, ALL_STACKS = signal.SIGUSR2, signal.SIGUSR1
"""Make a trainer print the line it is at, and write the stacks of all its threads to ``stacks.txt``."""
STACKS = "stacks.txt"
