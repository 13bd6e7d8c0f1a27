"""Starts trainers, follows them, judges them while they train, and stops them."""
