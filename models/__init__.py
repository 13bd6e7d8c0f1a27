"""The real models and trainers lvmcheck grew up on. They belong to the repository and are not installed."""
