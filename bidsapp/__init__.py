"""moviersa: how close is the visual brain to a vision model while a person watches a film."""

from importlib.metadata import version

__version__ = version("moviersa")
