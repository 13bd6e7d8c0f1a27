"""Checks of a training loop from inside: what ``rec.watch`` measured at sampled steps."""
