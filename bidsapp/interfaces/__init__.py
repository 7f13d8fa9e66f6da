"""Thin nipype interfaces, one per step."""
