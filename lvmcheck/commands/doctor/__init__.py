"""``lvmcheck doctor``: the machine in one screen, and what on it would spoil results."""
