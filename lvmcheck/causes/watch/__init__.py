"""Causes that a watched loop shows: what is wrong in the code, measured at the place where it is."""
