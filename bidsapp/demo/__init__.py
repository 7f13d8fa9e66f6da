"""A small dataset with known truth, sharing no code with what it tests."""
