"""Training runs as Python tests: the ``training`` fixture and what it returns."""
