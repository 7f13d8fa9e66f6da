"""The methods text of a run, part by part."""

from bidsapp.reports.methods.text import Methods, methods, methods_text

__all__ = ["Methods", "methods", "methods_text"]
