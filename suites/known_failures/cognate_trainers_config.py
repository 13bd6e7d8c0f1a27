"""The schema of the faulty language trainers: that of the language trainer, which they wrap."""

from models.trainers.language_config import METRICS, data_at, input_files, resolve, validate

__all__ = ["METRICS", "data_at", "input_files", "resolve", "validate"]
