"""Stored results of throughput benchmarks, and their comparison with those of another session of the same device kind.

A result is a ratio: the time of what is measured over the time of a calibration kernel that took turns with it, so that
a machine that is busy or slower slows both. Results are stored in pytest-benchmark's own document.
"""
