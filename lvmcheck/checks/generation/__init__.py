"""Checks of what the model generates, and of how long it thinks."""
