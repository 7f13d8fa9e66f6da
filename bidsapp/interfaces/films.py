"""The step that turns one run of the film into the RDMs of several models, in one decoding."""

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    Bunch,
    Directory,
    SimpleInterface,
    TraitedSpec,
    isdefined,
    traits,
)

from bidsapp.analysis.spec import Dissimilarity, Extraction, FeatureTable
from bidsapp.arrays import Floats
from bidsapp.dataset.derivatives import OutputTree, stimulus_rdms_path, write_stimulus_rdms
from bidsapp.dataset.stimuli import find_film
from bidsapp.interfaces.staging import staged_tree
from bidsapp.rsa.rdm import UnitMoments, rdm_with_moments
from bidsapp.vision.catalogue import ModelEntry
from bidsapp.vision.devices import Machine
from bidsapp.vision.feature_tables import check_table, table_coverage, table_features
from bidsapp.vision.framing import Framing
from bidsapp.vision.model_rdms import model_rdms
from bidsapp.vision.model_recipe import Recipe
from bidsapp.vision.runs import PlacedRun
from bidsapp.vision.stretches import Stretch


class _ModelRDMsInputSpec(BaseInterfaceInputSpec):
    film = traits.Dict(mandatory=True, desc="a film run, see film_to_plain")
    models = traits.List(traits.Dict, mandatory=True, desc="entries of models that share a pass")
    # What lies in the folders below is not hashed; its digest is.
    made_from = traits.Dict(mandatory=True, desc="model: fingerprint of all that it is made from")
    version = traits.Str(mandatory=True, desc="of this app: another may compute another way")
    layout = traits.Int(2, usedefault=True, desc="of the files: 2 has coverage and moments")
    labels = traits.Dict(mandatory=True, desc="model: desc label")
    tables = traits.List(traits.Dict, mandatory=True, desc="feature tables, taken as models")
    stimuli_dir = Directory(exists=True, mandatory=True)
    task = traits.Str(mandatory=True)
    framing = traits.Dict(mandatory=True, desc="what of a frame is seen, see Framing")
    hrf_s = traits.Float(mandatory=True)
    extraction = traits.Dict(mandatory=True, desc="what is approximated, see Extraction")
    weights_dir = Directory(exists=True)
    device = traits.Str(mandatory=True)
    memory_gb = traits.Float(mandatory=True, desc="features beyond this go to disk")
    n_threads = traits.Int(1, usedefault=True, nohash=True, desc="threads of the networks")
    use_gpu = traits.Bool(False, usedefault=True, nohash=True, desc="what nipype's plugins ask for")


class _ModelRDMsOutputSpec(TraitedSpec):
    staged = Directory(exists=True)


class ModelRDMs(SimpleInterface):
    """RDMs of all layers of several models for one run of the film."""

    input_spec = _ModelRDMsInputSpec
    output_spec = _ModelRDMsOutputSpec

    def _run_interface(self, runtime: Bunch) -> Bunch:
        inputs = self.inputs
        film = film_from_plain(inputs.film)
        tree = staged_tree(runtime.cwd)
        recipe = Recipe(
            Framing(**inputs.framing), inputs.hrf_s, Extraction.model_validate(inputs.extraction)
        )
        for table in map(FeatureTable.model_validate, inputs.tables):
            self._write_table(tree, film, table, recipe.hrf_s)
        if inputs.models:
            torch.set_num_threads(inputs.n_threads)
            machine = Machine(Path(runtime.cwd), int(inputs.memory_gb * 1e9), inputs.device)
            entries = [ModelEntry.model_validate(entry) for entry in inputs.models]
            weights = Path(inputs.weights_dir) if isdefined(inputs.weights_dir) else None
            for made in model_rdms(entries, film, recipe, machine, weights):
                name, dissimilarity = made.entry.name, made.entry.dissimilarity
                coverage = film.coverage(recipe.hrf_s)
                self._write(tree, film, name, dissimilarity, made.layers, made.notes, coverage)
        self._results["staged"] = str(tree.root)
        return runtime

    def _write_table(
        self, tree: OutputTree, film: PlacedRun, table: FeatureTable, hrf_s: float
    ) -> None:
        stimuli = Path(self.inputs.stimuli_dir)
        files = {run: find_film(stimuli, pattern) for run, pattern in table.files.items()}
        features = table_features(
            files[film.run], table.columns, film.volume_times, list(files.values()), hrf_s
        )
        check_table(table.name, features.shape[1], table.dissimilarity)
        layers = {table.name: rdm_with_moments(features, table.dissimilarity)}
        coverage = table_coverage(files[film.run], table.columns, film.volume_times, hrf_s)
        self._write(tree, film, table.name, table.dissimilarity, layers, {}, coverage)

    def _write(
        self,
        tree: OutputTree,
        film: PlacedRun,
        model: str,
        dissimilarity: Dissimilarity,
        layers: Mapping[str, tuple[Floats, UnitMoments]],
        notes: Mapping[str, object],
        coverage: Floats,
    ) -> None:
        inputs = self.inputs
        path = stimulus_rdms_path(tree, inputs.task, film.run, inputs.labels[model], dissimilarity)
        facts = film.described(model, inputs.made_from[model])
        write_stimulus_rdms(path, layers, film.volume_times, facts, dissimilarity, notes, coverage)


def film_to_plain(film: PlacedRun) -> dict[str, Any]:
    """Turn a film run into plain values, which nipype can hash and send to another process."""
    stretch = film.stretch
    return {
        "run": film.run,
        "stretch": {
            "path": str(stretch.path),
            "first": stretch.first,
            "n_frames": stretch.n_frames,
            "file_rate": str(stretch.file_rate),
            "shown_rate": str(stretch.shown_rate),
            "by_time": stretch.by_time,
        },
        "frame_index": film.frame_index.tolist(),
        "frame_times": film.frame_times.tolist(),
        "volume_times": film.volume_times.tolist(),
    }


def film_from_plain(values: Mapping[str, Any]) -> PlacedRun:
    """Invert `film_to_plain`."""
    stretch = dict(values["stretch"])
    return PlacedRun(
        run=values["run"],
        stretch=Stretch(
            path=Path(stretch.pop("path")),
            file_rate=Fraction(stretch.pop("file_rate")),
            shown_rate=Fraction(stretch.pop("shown_rate")),
            **stretch,
        ),
        frame_index=np.asarray(values["frame_index"], np.int64),
        frame_times=np.asarray(values["frame_times"], np.float64),
        volume_times=np.asarray(values["volume_times"], np.float64),
    )
