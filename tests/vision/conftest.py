"""Films that several tests of vision share."""

from pathlib import Path

import pytest
from vision_films import noise, write_film


@pytest.fixture(scope="session")
def noise_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight seconds of noise at 25 Hz."""
    return write_film(tmp_path_factory.mktemp("film") / "noise.mkv", noise(200))
