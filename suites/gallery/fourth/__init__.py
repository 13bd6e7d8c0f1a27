"""Small training programs, sound ones and ones with a single bug each."""
