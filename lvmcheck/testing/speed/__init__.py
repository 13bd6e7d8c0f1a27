"""How fast a step is, beside what its machine can do in the same moments."""
