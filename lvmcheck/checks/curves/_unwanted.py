"""Scores that nobody wants to rise, or that are given up on purpose, by the words of their names."""

from __future__ import annotations

_WORDS = """domain disc discriminator critic adv adversary adversarial attack attacker mia membership privacy leakage
bias self similarity random chance baseline permuted shuffled forget forgetting unlearn old previous clean ood shot
confidence overlap"""
UNWANTED = frozenset(_WORDS.split())
"""Of an opponent, of what is to be forgotten, of a data set that the training leaves, or of outputs with each other."""
