"""What several seeds say: distributions, prediction bands, intervals, decisions. Pure functions of numbers."""
