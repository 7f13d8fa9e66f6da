"""The regions of an analysis: functional ones, and areas of an atlas."""

from typing import Annotated

from pydantic import Field

from bidsapp.analysis.part import Hemisphere, Label, Part, Point, Positive


class SearchSphere(Part):
    """Where in the template a region's peak is looked for, in one hemisphere."""

    centre_mm: Point
    radius_mm: Positive


class FunctionalRegion(Part):
    """A category-selective region: its contrast and where to look for it."""

    name: Label
    contrast: str
    search: dict[Hemisphere, SearchSphere] = Field(min_length=1)
    source: str = ""


class FunctionalRegions(Part):
    """How category-selective regions are cut from the localizer's t maps."""

    template: str = "MNI152NLin6Asym"
    sphere_mm: Positive = 9.0
    voxels: Annotated[int, Field(ge=3)] = 80
    min_peak_z: float = 3.1
    allow_overlap: bool = False
    regions: tuple[FunctionalRegion, ...] = ()


class AtlasRegions(Part):
    """Which areas of the probabilistic atlas are used, and the template that it lives in."""

    name: Label = "Wang2015"
    template: str = "MNI152NLin6Asym"
    regions: tuple[str, ...] = ()
