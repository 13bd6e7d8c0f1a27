"""Checks of the optimizer: its rates, its updates and its filter."""
