"""Regions of interest in a participant's own space."""
