"""One probe a file, found by its name: ``measure(setup)`` returns an Outcome, ``FIXES`` has a fix for its codes."""
