"""The regions of an analysis: functional ones, areas of an atlas, and the user's own masks."""

from collections.abc import Sequence
from dataclasses import dataclass
from string import Formatter
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from bidsapp.analysis.part import Hemisphere, Label, Part, Point, Positive

Hemispheres = Literal["joined", "separate"]
Share = Annotated[float, Field(ge=0, le=1)]
Voxels = Annotated[int, Field(ge=3)]

HEMISPHERES: tuple[Hemisphere, ...] = ("L", "R")
_PLACEHOLDERS = ("participant", "session")


@dataclass(frozen=True)
class Region:
    """A region as tables and RDM files name it: both hemispheres together, or one of them."""

    label: str
    hemisphere: Hemisphere | None = None

    @property
    def name(self) -> str:
        """``FFA``, or ``FFA_L`` where hemispheres are separate."""
        return f"{self.label}_{self.hemisphere}" if self.hemisphere else self.label


def named(label: str, sides: Sequence[str], hemispheres: Hemispheres) -> tuple[Region, ...]:
    """Return one region, or one for each hemisphere that it has; left comes first."""
    if hemispheres == "joined":
        return (Region(label),)
    return tuple(Region(label, side) for side in HEMISPHERES if side in sides)


class SearchSphere(Part):
    """Where in the template a region's peak is looked for, in one hemisphere."""

    centre_mm: Point
    radius_mm: Positive


class FunctionalRegion(Part):
    """A category-selective region: its contrast, where to look for it, and its own size."""

    name: Label
    contrast: str
    search: dict[Hemisphere, SearchSphere] = Field(min_length=1)
    sphere_mm: Positive | None = None  # None: as for all
    voxels: Voxels | None = None
    source: str = ""

    def named(self, hemispheres: Hemispheres) -> tuple[Region, ...]:
        """Return the region as tables name it, or its hemispheres."""
        return named(self.name, tuple(self.search), hemispheres)


class FunctionalRegions(Part):
    """How category-selective regions are cut from the localizer's t maps."""

    template: str = "MNI152NLin6Asym"
    sphere_mm: Positive = 9.0
    voxels: Voxels = 80
    min_peak_z: float = 3.1
    # Of a search sphere, measured by the localizer; of a region, inside the brain mask of a run.
    min_coverage: Share = 0.75
    allow_overlap: bool = False
    regions: tuple[FunctionalRegion, ...] = ()

    def named(self, hemispheres: Hemispheres) -> tuple[Region, ...]:
        """Return the regions as tables name them, in the order of the file."""
        return tuple(part for region in self.regions for part in region.named(hemispheres))

    def parted(self, hemispheres: Hemispheres) -> Self:
        """Make a region of each hemisphere's search where hemispheres are separate."""
        regions = tuple(
            region.model_copy(
                update={
                    "name": part.name,
                    "search": {
                        side: sphere
                        for side, sphere in region.search.items()
                        if part.hemisphere in (None, side)
                    },
                }
            )
            for region in self.regions
            for part in region.named(hemispheres)
        )
        return self.model_copy(update={"regions": regions})

    def voxels_of(self, name: str) -> int:
        """Return how many voxels a region is to have: its own number, or that of all."""
        own = self._own(name)
        return self.voxels if own is None or own.voxels is None else own.voxels

    def sphere_of(self, name: str) -> float:
        """Return the radius in mm of a region's spheres: its own, or that of all."""
        own = self._own(name)
        return self.sphere_mm if own is None or own.sphere_mm is None else own.sphere_mm

    def _own(self, name: str) -> FunctionalRegion | None:
        return next((region for region in self.regions if region.name == name), None)


class AtlasRegions(Part):
    """Which areas of the probabilistic atlas are used, and the template that it lives in."""

    name: Label = "Wang2015"
    template: str = "MNI152NLin6Asym"
    min_coverage: Share = 0.8  # of a region's voxels, inside the brain mask of each movie run
    regions: tuple[str, ...] = ()

    def named(self, hemispheres: Hemispheres) -> tuple[Region, ...]:
        """Return the regions as tables name them, in the order of the file."""
        return tuple(
            part for name in self.regions for part in named(name, HEMISPHERES, hemispheres)
        )


def _by_side(value: Any) -> Any:  # noqa: ANN401 (whatever the file holds)
    """Read one value as that of the whole region; a mapping gives each hemisphere its own."""
    return value if value is None or isinstance(value, dict) else {"both": value}


Side = Literal["L", "R", "both"]
Files = Annotated[dict[Side, str], BeforeValidator(_by_side), Field(min_length=1)]
Labels = Annotated[dict[Side, int | str], BeforeValidator(_by_side), Field(min_length=1)]


class MaskRegion(Part):
    """A region from the user's own files: a mask, a label of a dseg, or a thresholded map."""

    name: Label
    file: Files  # a glob below the dataset
    label: Labels | None = None  # number in the dseg, or name in its TSV
    threshold: Positive | None = None  # least value, in the file's own units
    space: str | None = None  # None: what the file's name says, else the output space

    @field_validator("file")
    @classmethod
    def _placeholders_known(cls, files: dict[Side, str]) -> dict[Side, str]:
        for pattern in files.values():
            try:
                fields = [field for _, field, _, _ in Formatter().parse(pattern) if field]
            except ValueError as error:
                raise ValueError(f"{pattern!r}: {error}") from error
            unknown = [field for field in fields if field not in _PLACEHOLDERS]
            if unknown:
                raise ValueError(
                    f"{pattern!r} holds {{{unknown[0]}}}; known are {{participant}} and {{session}}"
                )
        return files

    @model_validator(mode="after")
    def _sides_fit(self) -> Self:
        if self.label is not None and self.threshold is not None:
            raise ValueError(f"region {self.name}: give a label or a threshold, not both")
        given = [set(part) for part in (self.file, self.label or {}) if part]
        sided = [sides for sides in given if sides != {"both"}]
        if any("both" in sides for sides in sided) or any(sides != sided[0] for sides in sided):
            raise ValueError(
                f"region {self.name}: file and label must each be one value, or name the same "
                "hemispheres, L and R"
            )
        return self

    def named(self, hemispheres: Hemispheres) -> tuple[Region, ...]:
        """Return the region as tables name it, or its hemispheres."""
        return named(self.name, self.sides or HEMISPHERES, hemispheres)

    @property
    def sides(self) -> tuple[Hemisphere, ...]:
        """Hemispheres that have a file or label of their own; none where one holds all."""
        return tuple(
            side for side in HEMISPHERES if side in self.file or side in (self.label or {})
        )

    def file_of(self, side: Hemisphere | None) -> str:
        """Return the pattern of a hemisphere's file."""
        return self.file.get(side or "both") or self.file["both"]

    def label_of(self, side: Hemisphere | None) -> int | str | None:
        """Return a hemisphere's label; None where the file is no dseg."""
        if self.label is None:
            return None
        return self.label[side] if side in self.label else self.label["both"]


class MaskRegions(Part):
    """Regions from files, and the dataset (``-d NAME=PATH``) that they lie in."""

    dataset: Annotated[str, Field(pattern="^[0-9a-zA-Z]+$")] = "fmriprep"
    min_coverage: Share = 0.8  # of a region's voxels, inside the brain mask of each movie run
    regions: tuple[MaskRegion, ...] = ()

    def named(self, hemispheres: Hemispheres) -> tuple[Region, ...]:
        """Return the regions as tables name them, in the order of the file."""
        return tuple(part for region in self.regions for part in region.named(hemispheres))
