"""The schema of the faulty trainers: that of the vector trainer, which they wrap."""

from models.trainers.vector_config import METRICS, input_files, resolve, validate

__all__ = ["METRICS", "input_files", "resolve", "validate"]
