"""A trainer without a schema."""

raise RuntimeError("reading a suite must not import its trainer")
