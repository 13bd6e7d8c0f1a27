"""What machines read of a pytest session: one typed report, and renderers of it that stand in a file each."""
