"""What the calibration runs: one factor at a time about a middle setting, and some crossings."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

from bench import calibration_bold as bold
from bench.calibration_noise import ADDITIONS, AUTOREGRESSIVE, FALLING
from bench.calibration_study import Setting

# Studies of a cell.
LARGE, USUAL, FILMS, MISTAKEN, LARGE_MISTAKEN, POWER = 60, 200, 400, 100, 30, 50


@dataclass(frozen=True)
class Cell:
    """A setting, and how many studies of it there are."""

    setting: Setting
    studies: int = USUAL

    @property
    def calibrated(self) -> bool:
        """Whether the robust mode as it is should say p < .05 in 5% of the studies."""
        setting = self.setting
        as_shipped = replace(
            setting,
            min_coverage=Setting().min_coverage,
            regressed_on="used",
            noise_removed=True,
            filtered=False,
        )
        return setting == as_shipped and not setting.effect and "robust" in setting.modes


_real = partial(
    Setting,
    noise="bold",
    runs=bold.RUNS,
    volumes=bold.VOLUMES,
    repetition_time=bold.REPETITION_TIME,
    participants=bold.REGIONS,
)
_paper = partial(Setting, participants=15, runs=8, volumes=450, repeated=8)
_before = partial(replace, min_coverage=0.0, regressed_on="all", noise_removed=False)
_BOTH = ("replicate", "robust")

_NOISES = {
    noise: Cell(Setting(noise, modes=_BOTH, fits=("ols", "ridge")))
    for noise in (*AUTOREGRESSIVE, *FALLING)
}
_ADDITIONS = {f"ar.5, {addition}": Cell(Setting(addition=addition)) for addition in ADDITIONS}
_FILMS = {
    "15% black": Cell(Setting(undefined=0.15)),
    "2 gaps of 20 s": Cell(Setting(gaps=2)),
    "a film a run": Cell(Setting(one_film=False)),
    "white, a film a run": Cell(Setting("white", one_film=False)),
    "ar.5, transient-20s, a film a run": Cell(Setting(addition="transient-20s", one_film=False)),
}
_SIZES = {
    **{f"TR {tr}": Cell(Setting(repetition_time=tr)) for tr in (1.3, 2.5)},
    **{f"{volumes} volumes": Cell(Setting(volumes=volumes)) for volumes in (90, 300, 450)},
    **{f"{voxels} voxels": Cell(Setting(voxels=voxels)) for voxels in (30, 300)},
    **{f"{n} participants": Cell(Setting(participants=n)) for n in (5, 15)},
    "white, 90 volumes": Cell(Setting("white", volumes=90)),
    "TR 1.3, 90 volumes": Cell(Setting(repetition_time=1.3, volumes=90)),
    "ar.5, 300 voxels, 15 participants": Cell(Setting(voxels=300, participants=15)),
    "1/f1, 300 voxels, 15 participants": Cell(Setting("1/f1", voxels=300, participants=15)),
    "ar.5, transient-20s, 300 voxels, 15 participants": Cell(
        Setting(addition="transient-20s", voxels=300, participants=15)
    ),
}
_PAPER = {
    "paper's size, ar.5": Cell(_paper(), LARGE),
    "paper's size, 1/f1": Cell(_paper(noise="1/f1"), LARGE),
    "paper's size, ar.5, transient-60s": Cell(_paper(addition="transient-60s"), LARGE),
}
_REAL = {
    "real BOLD": Cell(_real(fits=("ols", "ridge")), FILMS),
    "real BOLD, a film a run": Cell(_real(one_film=False), FILMS),
}
_BEFORE = {
    "ar.5": Cell(Setting(), MISTAKEN),
    "white": Cell(Setting("white"), MISTAKEN),
    "ar.5, transient-20s": Cell(Setting(addition="transient-20s"), MISTAKEN),
    "real BOLD": Cell(_real(), MISTAKEN),
    "paper's size, ar.5": Cell(_paper(), LARGE_MISTAKEN),
}
_OTHERWISE = {
    **{
        f"{name}, expected noise kept": replace(setting, noise_removed=False)
        for name, setting in (
            ("ar.5", Setting()),
            ("white", Setting("white")),
            ("90 volumes", Setting(volumes=90)),
            ("real BOLD", _real()),
        )
    },
    **{f"ar.5, coverage {share}": Setting(min_coverage=share) for share in (0.0, 0.5)},
    **{
        f"ar.5, transient-20s, coverage {share}": Setting(
            addition="transient-20s", min_coverage=share
        )
        for share in (0.5, 0.95)
    },
    "real BOLD, coverage 0.5": _real(min_coverage=0.5),
    "ar.5, regressed on every volume": Setting(regressed_on="all"),
    "ar.5, transient-20s, regressed on every volume": Setting(
        addition="transient-20s", regressed_on="all"
    ),
    "ar.5, models filtered": Setting(filtered=True),
    "ar.5, models filtered, expected noise kept": Setting(filtered=True, noise_removed=False),
}
_MISTAKES = {
    **{
        f"{name}, every volume": Cell(_before(cell.setting), cell.studies)
        for name, cell in _BEFORE.items()
    },
    **{name: Cell(setting, MISTAKEN) for name, setting in _OTHERWISE.items()},
}
_PLANTED = {
    "shots-5s": (0.05, 0.1, 0.14, 0.2, 0.4),
    "drift": (0.1, 0.2, 0.4, 0.8),
    "cuts-60s": (0.1, 0.2, 0.4, 0.8),
    "table-8x30s": (0.2, 0.4, 0.8),
    "table-20x30s": (0.2, 0.4, 0.8),
    "table-20x60s": (0.2, 0.4, 0.8),
}
_POWER = {
    f"{planted} of size {effect}": Cell(Setting(planted=planted, effect=effect), POWER)
    for planted, effects in _PLANTED.items()
    for effect in effects
}
CELLS: Mapping[str, Cell] = {
    **_NOISES,
    **_ADDITIONS,
    **_FILMS,
    **_SIZES,
    **_PAPER,
    **_REAL,
    **_MISTAKES,
    **_POWER,
}
"""Every cell by its name."""
