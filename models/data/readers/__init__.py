"""Readers of vectors from outside, one format a file. All treat the file as hostile: nothing is unpickled, every size
is checked before memory is taken, and whatever is wrong is one InputError."""
