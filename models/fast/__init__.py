"""What makes AMN fast on a CPU; no other room depends on it but the model and its trainer."""
