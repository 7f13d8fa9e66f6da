"""The methods text of a run, part by part, and its formats."""

from bidsapp.reports.methods.formats import plain, references, renderings
from bidsapp.reports.methods.text import Methods, methods

__all__ = ["Methods", "methods", "plain", "references", "renderings"]
