"""Regions land on the cortex where they are, in the colour of their value."""

from itertools import product

import nibabel
import numpy as np
import pandas as pd
import pytest
from matplotlib import colormaps
from nilearn import datasets, surface

from bidsapp.dataset.atlas import PUBLISHED_ORDER, open_atlas
from bidsapp.reports.blocks import Album
from bidsapp.reports.figures import on_surface, surface_map, winners
from bidsapp.reports.outputs import Outputs
from bidsapp.reports.page import Notes, Picture
from bidsapp.reports.surface import surface_blocks
from bidsapp.rois.template import AFFINE, SHAPE, atlas_in_template

MILLIMETRES = np.moveaxis(np.indices(SHAPE), 0, -1) @ AFFINE[:3, :3] + AFFINE[:3, 3]


def ball(centre_mm: tuple[float, float, float], radius_mm: float = 9) -> np.ndarray:
    return np.linalg.norm(MILLIMETRES - centre_mm, axis=-1) < radius_mm


def test_a_region_is_sampled_in_its_hemisphere_and_place() -> None:
    maps = {"left": ball((-40, -52, -20)), "right": ball((42, -52, -20))}
    found = on_surface(maps, AFFINE)
    pial = datasets.fetch_surf_fsaverage("fsaverage5")
    for number, side in enumerate(("left", "right")):
        own, other = found[side][number], found[side][1 - number]
        assert own.max() > 0.5
        assert other.max() < 1e-6
        points = np.asarray(surface.load_surf_mesh(pial[f"pial_{side}"]).coordinates)
        middle = np.average(points, axis=0, weights=own)
        assert np.linalg.norm(middle - ((-40, 42)[number], -52, -20)) < 6


def test_a_vertex_goes_to_the_greatest_overlap_or_to_none() -> None:
    overlap = np.array([[0.5, 0.1, 0.0, 0.3], [0.4, 0.15, 0.9, 0.3]])
    np.testing.assert_array_equal(winners(overlap, 0.2), [0, np.nan, 1, 0])


def test_faces_have_the_colour_of_their_regions_value() -> None:
    n = 10242
    regions = np.full(n, np.nan)
    regions[:4000], regions[4000:6000] = 0, 1
    nobody = np.full(n, np.nan)
    figure = surface_map({"left": regions, "right": nobody}, {"a": 0.2, "b": 0.1, "c": np.nan})
    left, right = figure.axes[0].collections[0], figure.axes[3].collections[0]
    drawn = {tuple(colour) for colour in np.round(left.get_facecolor(), 3)}
    for value in (0.2, 0.1):  # on a scale from 0 to the highest
        assert tuple(np.round(colormaps["viridis"](value / 0.2), 3)) in drawn
    grey = np.asarray(right.get_facecolor())
    np.testing.assert_allclose(grey[:, 0], grey[:, 1], atol=1e-6)
    words = [text.get_text() for text in figure.texts]
    assert words[2:] == ["1", "a", "0.200", "2", "b", "0.100", "3", "c", "n/a"]


@pytest.fixture
def atlas(tmp_path_factory: pytest.TempPathFactory):
    """V1v and hV4 in the left hemisphere; nothing else."""
    folder = tmp_path_factory.mktemp("atlas")
    places = {("V1v", "lh"): (-8, -90, -4), ("hV4", "lh"): (-30, -80, -12)}
    for number, name in enumerate(PUBLISHED_ORDER, start=1):
        for side in ("lh", "rh"):
            data = np.zeros(SHAPE, np.float32)
            if (name, side) in places:
                data[ball(places[name, side])] = 80
            data[48, 57, 48] = number / 10  # volumes of nothing are refused
            path = folder / f"perc_VTPM_vol_roi{number}_{side}.nii.gz"
            nibabel.save(nibabel.Nifti1Image(data, AFFINE), path)
    return folder


def test_the_page_draws_what_it_has_masks_of_and_names_the_rest(blank, atlas) -> None:
    random = np.random.default_rng(0)
    for participant in blank.participants:
        blank.write_masks(participant, random)
        blank.table(participant, "similarity", blank.similarity(random))
    outputs = Outputs(blank.tree, blank.analysis, "T1w")
    root = blank.tree.root
    album = Album(root, lambda name: root / "group/figures" / f"{name}.svg")
    table = pd.DataFrame(
        product(
            ["robust"], ["ols"], blank.analysis.region_names, (("network", 0.1), ("pixels", 0.3))
        ),
        columns=["mode", "fit", "roi", "model"],
    )
    table[["model", "r_mean"]] = table["model"].tolist()

    def blocks(folder=None):
        return list(surface_blocks(outputs, album, table, root / "group/x.tsv", folder))

    functional, note = blocks()
    assert isinstance(functional, Picture)
    assert "FFA 0.300" in functional.alt  # of the model with the highest
    assert isinstance(note, Notes)
    assert "--atlas" in note.sentences[0]

    drawn = blocks(atlas)
    assert [block.file for block in drawn if isinstance(block, Picture)] == [
        "group/figures/surface-functional.svg", "group/figures/surface-atlas.svg",
    ]  # fmt: skip
    published = open_atlas(atlas)
    areas = atlas_in_template(published.files, published.labels, ("V1v",), "joined")
    middle = MILLIMETRES[areas["V1v"]].mean(axis=0)
    np.testing.assert_allclose(middle, (-8, -90, -4), atol=1)

    for path in root.rglob("*MNI152NLin6Asym_label-PPA*"):
        path.unlink()
    absent, _, _ = blocks()
    assert "not drawn: PPA" in absent.sentences[0]
