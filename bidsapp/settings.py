"""What a run needs: paths, cores, device. Read from the command line, saved with every run."""

import tomllib
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import python_version
from typing import Annotated, Literal

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bidsapp import __version__
from bidsapp.errors import UsageError

Level = Literal["stimulus", "participant", "group"]
ErrorBars = Literal["sd", "se"]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
# What datasets are called on the command line and in BIDS URIs.
RAW, FMRIPREP = "raw", "fmriprep"

# The packages whose version may change a number in the results.
_PACKAGES = (
    *("numpy", "scipy", "pandas", "nibabel", "nilearn", "nipype", "pybids", "SimpleITK"),
    *("rsatoolbox", "torch", "torchvision", "av"),
)


class Settings(BaseModel):
    """Everything on the command line, frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bids_dir: Path
    output_dir: Path
    level: Level
    participant_label: tuple[str, ...] = ()
    session_label: tuple[str, ...] = ()
    task_id: tuple[str, ...] = ()
    bids_filter_file: Path | None = None
    derivatives: Mapping[str, Path] = {}
    analysis: Path | None = None
    stimuli: Path | None = None
    atlas: Path | None = None
    models: tuple[str, ...] = ()
    model_catalogue: Path | None = None
    weights: Path | None = None
    output_space: str = "T1w"
    output_resolution: str | None = None  # fMRIPrep's res-, or "native" for none
    template_transform: Path | None = None
    allow_template_mismatch: bool = False
    work_dir: Path
    clean_workdir: bool = False
    bids_database_dir: Path | None = None
    skip_bids_validation: bool = False
    nprocs: Count
    omp_nthreads: Count
    mem_gb: Positive
    scratch_gb: Positive = 50.0
    device: str = "auto"
    nipype_plugin_file: Path | None = None
    of_this_machine: tuple[str, ...] = ()  # which of nprocs and mem_gb nobody gave
    stop_on_first_crash: bool = False
    random_seed: int = 0
    error_bars: ErrorBars = "sd"
    dry_run: bool = False
    boilerplate_only: bool = False
    reports_only: bool = False
    verbose: int = 0

    @property
    def derivatives_dir(self) -> Path:
        """Folder of fMRIPrep's outputs."""
        return self.derivatives.get(FMRIPREP, self.bids_dir / "derivatives" / "fmriprep")

    def dataset_dir(self, name: str) -> Path | None:
        """Folder of a dataset by its name on the command line; None where it was not given."""
        return self.derivatives_dir if name == FMRIPREP else self.derivatives.get(name)

    @property
    def further_datasets(self) -> dict[str, Path]:
        """Folders of derivatives that are not fMRIPrep's, by name."""
        return {name: path for name, path in self.derivatives.items() if name != FMRIPREP}

    @property
    def full_space(self) -> str:
        """Output space as ``--output-space`` has it: ``MNI152NLin2009cAsym:res-2``."""
        resolution = self.output_resolution
        return self.output_space + (f":res-{resolution}" if resolution else "")

    @property
    def stimuli_dir(self) -> Path:
        """Folder of the film and feature tables."""
        return self.stimuli or self.bids_dir / "stimuli"


def versions() -> dict[str, str]:
    """Versions of moviersa, of Python and of every package that matters to the numbers."""
    found = {"moviersa": __version__, "python": python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def to_toml(settings: Settings) -> str:
    """Return the settings and the versions as TOML; ``from_toml`` reads it back."""
    values = settings.model_dump(mode="json", exclude_none=True)
    return tomli_w.dumps({"settings": values, "versions": versions()})


def read_toml(path: Path) -> dict[str, object]:
    """Read the settings table of a file that ``to_toml`` wrote, or that a user did.

    Raises
    ------
    UsageError
        The file is absent, is not TOML, or names an unknown setting.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read the config file {path}: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not valid TOML: {error}") from error
    values = content.get("settings", content)
    unknown = sorted(set(values) - set(Settings.model_fields))
    if unknown:
        raise UsageError(
            f"{path} holds the unknown setting '{unknown[0]}'; "
            f"settings are {', '.join(Settings.model_fields)}"
        )
    return dict(values)


def make_settings(values: dict[str, object]) -> Settings:
    """Validate values into settings.

    Raises
    ------
    UsageError
        A value is of the wrong kind; the message names the option.
    """
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        option = "--" + str(first["loc"][0]).replace("_", "-")
        raise UsageError(f"{option}: {first['msg']}") from error
