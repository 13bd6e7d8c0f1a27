"""A function of a test on several ranks: processes on this machine, joined by gloo, of which none is left behind."""
