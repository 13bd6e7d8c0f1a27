"""Callbacks that write run directories from other trainers; each module imports its library when it is imported."""
