"""Versions of the libraries that a network is built from: they draw its random weights."""

from importlib.metadata import version

from bidsapp.vision.catalogue import ModelEntry
from bidsapp.vision.networks.network import architecture_of, is_library


def library_versions(entry: ModelEntry) -> dict[str, str]:
    """Return library to version, without what tells builds for different devices apart.

    Models that are plain arithmetic (pixels, motion energy) have none.

    Raises
    ------
    UsageError
        The architecture is unknown.
    """
    return {name: version(name).partition("+")[0] for name in _libraries(entry)}


def _libraries(entry: ModelEntry) -> tuple[str, ...]:
    if is_library(entry):
        return ("torch", entry.architecture.partition(":")[0])
    return architecture_of(entry).libraries
