"""The sixth set: 168 programs in 20 families, kept as their author wrote them; see docs/gallery-unseen.md."""
