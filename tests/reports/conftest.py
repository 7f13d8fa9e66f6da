"""A small made-up tree of outputs, written by the app's own writers."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations, cycle, permutations, product
from pathlib import Path
from xml.parsers import expat

import nibabel
import numpy as np
import pandas as pd
import pytest
import SimpleITK

from bidsapp.analysis.spec import Analysis
from bidsapp.brain.carpet import Carpet
from bidsapp.dataset.derivatives import (
    ROBUST_RDMS,
    OutputTree,
    read_json,
    sidecar,
    write_image,
    write_json,
    write_rdms,
    write_segmentation,
    write_table,
)
from bidsapp.reports.facts import InputRun
from bidsapp.reports.report import RunFacts
from bidsapp.rois.template import AFFINE as TEMPLATE_AFFINE
from bidsapp.rois.template import mask_in_template
from bidsapp.rsa.pairs import lag_in_volumes
from bidsapp.tables.carpet import carpet_table
from bidsapp.tables.columns import describe
from bidsapp.tables.design import design_columns
from bidsapp.tables.quality import group_quality_table

SHAPE = (30, 34, 28)
AFFINE = np.array([[-6.0, 0, 0, 87], [0, 6, 0, -110], [0, 0, 6, -70], [0, 0, 0, 1]])
REFERENCE = {"SpatialReference": {"sub": "bids:fmriprep:anat.nii.gz"}}
UNCOVERED = 10  # volumes at a run's start
PCS = ("pc1", "pc2", "pc3", "pc4", "pc5")
HOSTILE = "<script>alert(1)</script> & \"$x$\" 'y'"


def small_analysis(models: tuple[str, ...] = ("network", HOSTILE, "pixels")) -> Analysis:
    """Four runs, two functional and two atlas regions, and a model with a hostile name."""
    search = {
        side: {"centre_mm": [x, -50, -16], "radius_mm": 12} for side, x in (("L", -40), ("R", 40))
    }
    return Analysis.model_validate(
        {
            "name": "made up",
            "movie": {
                "task": "movie",
                "session": "movie",
                "runs": [
                    {"run": str(i), "film": f"seg{i}.mp4", "shared_with_next_s": 16 * (i < 4)}
                    for i in (1, 2, 3, 4)
                ],
            },
            "localizer": {
                "task": "objects",
                "session": "localizer",
                "runs": ["1"],
                "conditions": ["face", "scene"],
                "contrasts": {
                    "face": {"plus": ["face"], "minus": ["scene"]},
                    "scene": {"plus": ["scene"], "minus": ["face"]},
                },
            },
            "functional": {
                "regions": [
                    {"name": "FFA", "contrast": "face", "search": search},
                    {"name": "PPA", "contrast": "scene", "search": search},
                ]
            },
            "atlas": {"regions": ["V1v", "hV4"]},
            "models": list(models),
            "fits": ["ols", "nnls"],
        }
    )


def visibility_of(models: "pd.Series[str]", order: tuple[str, ...]) -> "pd.Series[float]":
    """Give the first model .02, which cannot be found, and the others more."""
    return models.map({model: 0.02 + 0.1 * i for i, model in enumerate(order)})


@dataclass(frozen=True)
class MadeUp:
    """Writes a tree of outputs with invented numbers."""

    tree: OutputTree
    analysis: Analysis
    participants: tuple[str, ...] = ("01", "02", "03")
    n_volumes: int = 60
    seed: int = 0

    def write(self) -> "MadeUp":
        for participant in self.participants:
            self.write_participant(participant)
        self.write_group()
        return self

    def write_participant(self, participant: str) -> None:
        random = np.random.default_rng([self.seed, int(participant)])
        self.write_rdms(participant, random)
        self.write_masks(participant, random)
        self.write_localizer(participant)
        self.table(participant, "similarity", self.similarity(random))
        self.table(participant, "autocorrelation", self.autocorrelation(random))
        self.table(participant, "regions", self.regions(random))
        runs, quality = self.quality(participant)
        self.table(participant, "runs", runs)
        self.table(participant, "quality", quality)

    def write_rdms(self, participant: str, random: np.random.Generator) -> None:
        n, names = self.n_volumes, self.analysis.region_names
        kernel = np.exp(-0.5 * (np.arange(-8, 9) / 2.5) ** 2)
        for run in self.analysis.movie.runs:
            signal = random.standard_normal((len(names), 30, n + 16))
            smooth = np.apply_along_axis(np.convolve, 2, signal, kernel, "valid")
            pairs = np.triu_indices(n, 1)
            rdms = np.array([1 - np.corrcoef(region.T)[pairs] for region in smooth])
            used = (np.arange(n) >= UNCOVERED) & (
                np.arange(n) < n - lag_in_volumes(run.shared_with_next_s, 2.0)
            )
            robust = np.where(used[pairs[0]] & used[pairs[1]], rdms, np.nan)
            entities = {"ses": "movie", "task": "movie", "run": run.run, "space": "T1w"}
            path, robust_path = (
                self.tree.path("brain_rdms", sub=participant, desc=desc, **entities)
                for desc in (None, ROBUST_RDMS)
            )
            for to, values in ((path, rdms), (robust_path, robust)):
                write_rdms(to, values, names, "region", np.arange(n) * 2.0 + 1, {"run": run.run})
            component = {"Mask": "combined", "VarianceExplained": 0.4}
            confounds = {"a_comp_cor_00": component, "cosine00": {}, "trans_x": {}}
            content = read_json(sidecar(path)) | {"Confounds": confounds}
            write_json(sidecar(path), content)
            self.write_carpet(participant, run.run)

    def write_carpet(self, participant: str, run: str) -> None:
        """Write voxels that lose three quarters of their variance by denoising."""
        random = np.random.default_rng([self.seed, 3, int(participant)])
        names = tuple(np.repeat(self.analysis.region_names, 5))
        values = random.standard_normal((self.n_volumes, len(names)))
        censored = np.arange(self.n_volumes) == 7
        onsets = np.arange(self.n_volumes) * 2.0 + 1
        table, columns = carpet_table(
            Carpet(names, values, values / 2), onsets, random.uniform(0, 0.6, len(onsets)), censored
        )
        path = self.tree.path(
            "participant_stats", sub=participant, ses="movie", task="movie", run=run, desc="carpet"
        )
        write_table(path, table, columns)

    def write_localizer(self, participant: str) -> None:
        """Write a design of two blocks, and maps that are high in one place."""
        spec = self.analysis.localizer
        if spec is None:
            return
        names = {"sub": participant, "ses": "localizer", "task": spec.task, "run": "1"}
        n = len(spec.conditions)
        blocks = (np.arange(40)[:, None] // 10) % n == np.arange(n)
        design = pd.DataFrame(blocks.astype(float), columns=list(spec.conditions))
        design = design.assign(trans_x=np.linspace(-1, 1, 40), drift_1=1.0, constant=1.0)
        path = self.tree.path("participant_stats", **names, desc="design")
        write_table(path, design, design_columns(design, spec))
        for contrast, side in zip(spec.contrasts, cycle((-1, 1)), strict=False):
            t = np.where(ball(np.array((0.0, -20, 10)), 70), 0.5, 0.0)
            t[ball(np.array((side * 40.0, -50, -16)), 9)] = 9.0
            path = self.tree.path("statmap", **names, space="T1w", contrast=contrast, stat="t")
            write_image(path, t, AFFINE, REFERENCE)

    def write_masks(self, participant: str, random: np.random.Generator) -> None:
        for region in self.analysis.functional.regions:
            mask = np.zeros(SHAPE, bool)
            for sphere in region.search.values():
                mask |= ball(np.array(sphere.centre_mm) + random.normal(0, 3, 3), 11)
            path = self.tree.path(
                "region_mask",
                sub=participant, ses="localizer", task=self.analysis.localizer.task, run="1",
                space="T1w", label=region.name,
            )  # fmt: skip
            write_image(path, mask, AFFINE, REFERENCE)
            path = path.with_name(path.name.replace("T1w", self.analysis.functional.template))
            unmoved = SimpleITK.Transform(3, SimpleITK.sitkIdentity)
            write_image(path, mask_in_template(mask, AFFINE, unmoved), TEMPLATE_AFFINE, {})
        dseg = np.zeros(SHAPE, int)
        for index, _ in enumerate(self.analysis.atlas.regions, 1):
            for side in (-1, 1):
                centre = (side * (8 + 2 * index), -92 + 4 * index, -20 + 5 * (index % 5))
                dseg[ball(np.array(centre), 8)] = index
        path = self.tree.path("atlas_dseg", sub=participant, space="T1w", atlas="Wang2015")
        write_segmentation(path, dseg, AFFINE, self.analysis.atlas.regions, REFERENCE)

    def table(self, participant: str, desc: str, table: pd.DataFrame) -> None:
        path = self.tree.path(
            "participant_stats", sub=participant, ses="movie", task="movie", desc=desc
        )
        columns = describe(desc, "participant")
        write_table(path, table.reindex(columns=list(columns)), columns)

    def similarity(self, random: np.random.Generator) -> pd.DataFrame:
        a = self.analysis
        runs = [run.run for run in a.movie.runs]
        rows = pd.DataFrame(
            product(a.modes, a.fits, a.region_names, a.models, runs),
            columns=["mode", "fit", "roi", "model", "run"],
        )
        level = rows["mode"].map({"replicate": 0.14, "robust": 0.03})
        by_model = rows["model"].map(
            {model: 0.6 + 0.6 * (i % 4) / 3 for i, model in enumerate(a.models)}
        )
        r = level * by_model + random.normal(0, 0.015, len(rows))
        visible = visibility_of(rows["model"], a.models).where(rows["mode"] == "robust")
        return rows.assign(r=r, n_pairs=1000, n_volumes=50, visible=visible, note=None)

    def autocorrelation(self, random: np.random.Generator) -> pd.DataFrame:
        a = self.analysis
        rows = pd.DataFrame(
            product(
                a.region_names, [run.run for run in a.movie.runs], a.statistics.autocorrelation_s
            ),
            columns=["roi", "run", "lag_s"],
        )
        tau = rows["roi"].map({roi: 3 + 0.2 * i for i, roi in enumerate(a.region_names)})
        return rows.assign(r=np.exp(-rows["lag_s"] / tau) + random.normal(0, 0.01, len(rows)))

    def regions(self, random: np.random.Generator) -> pd.DataFrame:
        rows = []
        for region in self.analysis.functional.regions:
            for side, sphere in region.search.items():
                x, y, z = sphere.centre_mm
                flags = "peak z under 3.1" if region.name == "PPA" else ""
                peak = {"peak_x": x, "peak_y": y, "peak_z": z, "peak_t": 7.2, "peak_z_score": 6.1}
                head = {"roi": region.name, "kind": "functional", "hemisphere": side}
                rows.append({**head, "n_voxels": 40, **peak, "flags": flags})
        for name in self.analysis.atlas.regions:
            for side in "LR":
                head = {"roi": name, "kind": "atlas", "hemisphere": side}
                voxels = int(random.integers(20, 90))
                rows.append({**head, "n_voxels": voxels, "coverage": 0.97, "flags": ""})
        return pd.DataFrame(rows, columns=list(describe("regions", "participant")))

    def quality(self, participant: str) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Motion in each run, much of it in the last; V1v is poor in the second."""
        random = np.random.default_rng([self.seed, 9, int(participant)])
        names = [run.run for run in self.analysis.movie.runs]
        mean = np.r_[random.uniform(0.08, 0.2, len(names) - 1), 0.62]
        runs = pd.DataFrame({"run": names, "fd_mean": mean, "fd_max": mean * 4})
        runs = runs.assign(
            n_volumes=self.n_volumes, n_censored=np.r_[[0] * (len(names) - 1), 7],
            n_robust=self.n_volumes - UNCOVERED, n_uncovered=UNCOVERED, n_repeated=0, n_undefined=0,
            n_confounds=12, df_left=40, fd_over_half_mm=0.05, dvars_mean=1.1, dvars_max=2.3,
            flags=[*[None] * (len(names) - 1), "mean FD over 0.5 mm"],
        )  # fmt: skip
        rows = pd.DataFrame(product(self.analysis.region_names, names), columns=["roi", "run"])
        rows = rows.merge(runs.drop(columns=["dvars_mean", "dvars_max", "flags"]), on="run").assign(
            n_voxels=80, constant_voxels=0, coverage=0.97, lag1_r=0.4,
            tsnr=random.uniform(40, 110, len(rows)), flags=None,
        )  # fmt: skip
        poor = (rows["roi"] == "V1v") & (rows["run"] == names[1])
        rows.loc[poor, "tsnr"] = 12.0
        return runs, rows.assign(flags=np.where(poor, "tSNR under 20", None))

    def write_group(self) -> None:
        known = {label: self.quality(label) for label in self.participants}
        self.group_table("quality", group_quality_table(known))
        a = self.analysis
        random = np.random.default_rng(self.seed)
        rows = pd.DataFrame(
            product(a.modes, a.fits, a.region_names, a.models),
            columns=["mode", "fit", "roi", "model"],
        )
        level = rows["mode"].map({"replicate": 0.14, "robust": 0.03})
        by_model = rows["model"].map(
            {model: 0.6 + 0.6 * (i % 4) / 3 for i, model in enumerate(a.models)}
        )
        similarity = rows.assign(
            n=len(self.participants),
            r_mean=level * by_model,
            r_sd=0.01,
            ceiling_paper=level * 1.4,
            ceiling_lower=level * 1.6,
            ceiling_upper=level * 2.2,
            p_null=np.where(rows["model"] == a.models[0], 0.01, 0.5),
            p_null_max=0.5,
            p_null_fwe=np.where(rows["model"] == a.models[0], 0.02, 0.9),
            q_null=0.5,
            visible=np.where(
                rows["mode"] == "robust", visibility_of(rows["model"], a.models), np.nan
            ),
            n_volumes=150,
            note="model above ceiling_paper",
        )
        lags = pd.DataFrame(
            product(a.fits, a.region_names, a.models, a.statistics.lag_curve_s),
            columns=["fit", "roi", "model", "min_lag_s"],
        )
        lags = lags.assign(
            n=len(self.participants),
            r_mean=0.03
            + 0.12 * np.exp(-lags["min_lag_s"] / 6)
            + random.normal(0, 0.004, len(lags)),
            r_sd=0.01,
        )
        keys = list(product(a.modes, a.fits, a.region_names))
        beyond = pd.DataFrame(
            [(*key, *pair) for key in keys for pair in permutations(a.models, 2)],
            columns=["mode", "fit", "roi", "control", "target"],
        )
        beyond = beyond.assign(n=3, r_mean=random.normal(0.02, 0.01, len(beyond)))
        pairs = pd.DataFrame(
            [(*key, *pair) for key in keys for pair in combinations(a.models, 2)],
            columns=["mode", "fit", "roi", "model_a", "model_b"],
        )
        pairs = pairs.assign(n=3, n_runs=24, diff_z=random.normal(0, 0.01, len(pairs)), df=2)
        for name in ("t", "p", "p_bonferroni", "q_fdr", "p_signflip"):
            pairs[name] = random.uniform(0, 1, len(pairs))
        split = rows[rows["fit"] == a.fits[0]].drop(columns="fit").assign(r2_part=0.01)
        self.group_table("unique", beyond)
        self.group_table("split", split)
        self.group_table("components", self.components(random))
        self.group_table("framepairs", self.frame_pairs(random))
        self.group_table("similarity", similarity)
        self.group_table("lag", lags)
        self.group_table("comparisons", pairs)

    def components(self, random: np.random.Generator) -> pd.DataFrame:
        """Each model's layers walk away from a start of their own; the last model has one."""
        a = self.analysis
        tables = []
        for mode, (place, model) in product(a.modes, enumerate(a.models)):
            n = 1 if place == len(a.models) - 1 and place else 6 + place % 3
            steps = random.normal([1.0, 0.5 - 0.1 * place, 0, 0, 0], 0.3, (n, 5))
            table = pd.DataFrame(
                random.normal(0, 2, 5) + steps.cumsum(axis=0), columns=list(PCS)
            ).round(4)
            layers = [f"layer{i}" for i in range(n)]
            tables.append(table.assign(mode=mode, model=model, layer=layers))
        return pd.concat(tables, ignore_index=True)

    def frame_pairs(self, random: np.random.Generator) -> pd.DataFrame:
        a = self.analysis
        table = pd.DataFrame(
            product(a.modes, PCS[:2], ("high", "low"), range(1, 9)),
            columns=["mode", "component", "sign", "rank"],
        )
        runs = random.choice([run.run for run in a.movie.runs], len(table))
        first = 1.0 + 2 * random.integers(4, 20, len(table))
        second = first + 2 * random.integers(10, 18, len(table))
        sign = np.where(table["sign"] == "high", 1, -1)
        return table.assign(
            run=runs, onset_a=first, onset_b=second, film_a=first, film_b=second,
            loading=sign * (0.02 - 0.001 * table["rank"]),
        )  # fmt: skip

    def group_table(self, desc: str, table: pd.DataFrame) -> None:
        columns: dict[str, dict[str, object]] = {
            name: dict(its) for name, its in describe(desc, "group").items()
        }
        if desc == "components":
            for name, part in zip(PCS, (0.5, 0.25, 0.1, 0.05, 0.02), strict=True):
                columns[name]["VarianceExplained"] = dict.fromkeys(self.analysis.modes, part)
        write_table(
            self.tree.path("group_stats", task="movie", desc=desc),
            table.reindex(columns=list(columns)),
            columns,
        )


def ball(centre_mm: np.ndarray, radius_mm: float) -> np.ndarray:
    grid = np.moveaxis(np.indices(SHAPE), 0, -1) @ AFFINE[:3, :3].T + AFFINE[:3, 3]
    return np.linalg.norm(grid - centre_mm, axis=-1) < radius_mm


def anatomy(path: Path) -> Path:
    """Write a bright ellipsoid with a dark middle: enough of a head for a picture."""
    affine = np.diag([2.0, 2, 2, 1]) @ np.eye(4)
    affine[:3, 3] = (-90, -120, -80)
    grid = np.moveaxis(np.indices((91, 109, 91)), 0, -1) @ affine[:3, :3].T + affine[:3, 3]
    distance = np.linalg.norm((grid - (0, -15, 10)) / (70, 88, 66), axis=-1)
    data = np.where(distance < 1, 600 + 300 * np.cos(distance * 12), 0).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(data, affine), path)
    return path


FACTS = RunFacts(
    version="0.1.0",
    command="moviersa bids out participant",
    settings="nprocs = 2\n",
    versions={"moviersa": "0.1.0", "nilearn": "0.14.1"},
    warnings=("sub-02 saw the film 0.3 s late.",),
    input_runs=(
        InputRun("movie", "1", "sub-01_bold.nii.gz", 60, 2.0, 1.0, "80 x 80 x 35", "left out"),
    ),
    errors={"searchlight": f"Traceback: {HOSTILE}\nValueError: spheres of no size\n\n"},
)


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> MadeUp:
    root = tmp_path_factory.mktemp("out")
    return MadeUp(OutputTree(root), small_analysis()).write()


@pytest.fixture
def blank(tmp_path: Path) -> MadeUp:
    """Nothing written yet: for tests that need a table or two."""
    return MadeUp(OutputTree(tmp_path), small_analysis())


def texts_of_svg(svg: str) -> list[str]:
    """Return every piece of text of an SVG; fail where it is no valid XML."""
    found: list[str] = []
    inside: list[str] = []

    def start(tag: str, _: dict[str, str]) -> None:
        inside.append(tag)
        if tag == "text":
            found.append("")

    def data(text: str) -> None:
        if "text" in inside:
            found[-1] += text

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    parser.EndElementHandler = lambda _: inside.pop()
    parser.CharacterDataHandler = data
    parser.Parse(svg, True)
    return found


@pytest.fixture(scope="session")
def svg_texts() -> Callable[[str], list[str]]:
    return texts_of_svg


@pytest.fixture(scope="session")
def facts() -> RunFacts:
    return FACTS


@pytest.fixture(scope="session")
def write_anatomy() -> Callable[[Path], Path]:
    return anatomy
