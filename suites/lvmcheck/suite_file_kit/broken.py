"""A module of checks that cannot be imported."""

raise RuntimeError("first line\nsecond line")
