"""Runs and their verdicts as one self-contained HTML file: no network, no account, nothing beside it."""
