"""Checks of model, loss and optimizer on one batch, before the first step: :func:`lvmcheck.preflight`."""
