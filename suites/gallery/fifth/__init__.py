"""The fifth set: 200 programs in 28 families, kept as their author wrote them; see docs/gallery-unseen.md."""
