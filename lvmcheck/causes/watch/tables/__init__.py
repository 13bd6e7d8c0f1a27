"""Causes whose finding a check measured itself: one entry each, in ``CAUSES``."""
