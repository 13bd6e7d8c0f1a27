"""One file for each engine that trainers run on."""
