"""Checks, one a file; the module name is the name used in suites."""
