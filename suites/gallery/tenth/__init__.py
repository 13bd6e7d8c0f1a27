"""The eighth set: 123 programs in 18 families, kept as their two authors wrote them; see docs/gallery-unseen.md."""
