"""Reference bands: what earlier good runs measured, as reviewable text files in the repository."""
