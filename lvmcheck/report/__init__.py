"""Renderers of one list of verdicts and of runs in progress."""
