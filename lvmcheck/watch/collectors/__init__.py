"""Collectors, one a file: what is measured of a watched loop."""
