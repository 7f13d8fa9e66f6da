"""The arithmetic of representational similarity: arrays in, arrays out."""
