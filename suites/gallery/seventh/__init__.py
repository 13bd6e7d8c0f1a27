"""The seventh set: 153 programs in 18 families, kept as their author wrote them; see docs/gallery-unseen.md."""
