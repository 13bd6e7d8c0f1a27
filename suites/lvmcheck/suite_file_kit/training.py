"""A trainer that must not be imported to read a suite."""

raise RuntimeError("reading a suite must not import its trainer")
