"""``python -m models``: a file of this folder is one command."""
