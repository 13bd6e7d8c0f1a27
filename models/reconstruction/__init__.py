"""Predicted vectors back to text, by the nearest neighbour in a bank of texts."""
