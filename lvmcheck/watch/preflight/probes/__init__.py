"""One probe a file, found by its name: ``measure(setup)`` returns an Outcome, ``FIXES`` maps its codes to what to do."""
