"""Measurements of tensors and modules: pure functions that change nothing and read nothing from the device."""
