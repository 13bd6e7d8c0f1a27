"""Saving, loading, resuming and exporting models, without pickle."""
