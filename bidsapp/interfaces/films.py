"""The step that turns one run of the film into the RDMs of several models, in one decoding."""

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    Bunch,
    Directory,
    File,
    SimpleInterface,
    TraitedSpec,
    isdefined,
    traits,
)

from bidsapp.analysis.spec import Dissimilarity, FeatureTable
from bidsapp.arrays import Floats
from bidsapp.dataset.derivatives import OutputTree, write_rdms
from bidsapp.dataset.stimuli import find_film
from bidsapp.interfaces.staging import staged_tree
from bidsapp.rsa.rdm import DISTANCES
from bidsapp.vision.catalogue import ModelEntry, find_model
from bidsapp.vision.feature_tables import check_table, table_features
from bidsapp.vision.features import extract, scratch_bytes
from bidsapp.vision.framing import Framing
from bidsapp.vision.networks.loading import load_network
from bidsapp.vision.runs import PlacedRun
from bidsapp.vision.stretches import Stretch

_BATCH = 32


class _ModelRDMsInputSpec(BaseInterfaceInputSpec):
    film = traits.Dict(mandatory=True, desc="a film run, see film_to_plain")
    models = traits.List(traits.Str, mandatory=True, desc="models to be made")
    # What lies in the folders below is not hashed; its digest is.
    made_from = traits.Dict(mandatory=True, desc="model: fingerprint of all that it is made from")
    version = traits.Str(mandatory=True, desc="of this app: another may compute another way")
    labels = traits.Dict(mandatory=True, desc="model: desc label")
    dissimilarities = traits.Dict(mandatory=True, desc="model: of two volumes' responses")
    tables = traits.List(traits.Dict, mandatory=True, desc="the analysis file's feature tables")
    stimuli_dir = Directory(exists=True, mandatory=True)
    task = traits.Str(mandatory=True)
    framing = traits.Dict(mandatory=True, desc="what of a frame is seen, see Framing")
    hrf_s = traits.Float(mandatory=True)
    weights_dir = Directory(exists=True)
    catalogue = File(exists=True, desc="a user's models")
    device = traits.Str(mandatory=True)
    memory_gb = traits.Float(mandatory=True, desc="features beyond this go to disk")
    scratch_gb = traits.Float(mandatory=True, desc="disk that features may take at once")
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
        catalogue = Path(inputs.catalogue) if isdefined(inputs.catalogue) else None
        tables = {table["name"]: FeatureTable.model_validate(table) for table in inputs.tables}
        entries = [find_model(name, catalogue) for name in inputs.models if name not in tables]
        tree = staged_tree(runtime.cwd)
        for name in inputs.models:
            if name in tables:
                self._table(tree, film, tables[name])
        torch.set_num_threads(inputs.n_threads)
        n_volumes = len(film.volume_times)
        for group in share_decoding(entries, n_volumes, inputs.scratch_gb * 1e9):
            self._networks(tree, film, group, Path(runtime.cwd))
        self._results["staged"] = str(tree.root)
        return runtime

    def _networks(
        self, tree: OutputTree, film: PlacedRun, entries: Sequence[ModelEntry], cwd: Path
    ) -> None:
        inputs = self.inputs
        weights = Path(inputs.weights_dir) if isdefined(inputs.weights_dir) else None
        responses = extract(
            [load_network(entry, weights) for entry in entries],
            film,
            Framing(**inputs.framing),
            inputs.device,
            cwd,
            int(inputs.memory_gb * 1e9),
            _BATCH,
            inputs.hrf_s,
        )
        for entry in entries:
            layers = responses.pop(entry.name)
            dissimilarity: Dissimilarity = inputs.dissimilarities[entry.name]
            distance = DISTANCES[dissimilarity]
            rdms = {layer: distance(units) for layer, units in layers.items()}
            self._write(tree, film, entry.name, rdms, dissimilarity)

    def _table(self, tree: OutputTree, film: PlacedRun, table: FeatureTable) -> None:
        stimuli = Path(self.inputs.stimuli_dir)
        files = {run: find_film(stimuli, pattern) for run, pattern in table.files.items()}
        features = table_features(
            files[film.run],
            table.columns,
            film.volume_times,
            list(files.values()),
            self.inputs.hrf_s,
        )
        check_table(table.name, features.shape[1], table.dissimilarity)
        rdm = DISTANCES[table.dissimilarity](features)
        self._write(tree, film, table.name, {table.name: rdm}, table.dissimilarity)

    def _write(
        self,
        tree: OutputTree,
        film: PlacedRun,
        model: str,
        rdms: Mapping[str, Floats],
        dissimilarity: Dissimilarity,
    ) -> None:
        path = tree.path(
            "stimulus_rdms",
            task=self.inputs.task,
            run=film.run,
            stat=f"{dissimilarity}distance",
            desc=self.inputs.labels[model],
        )
        write_rdms(
            path,
            np.stack(list(rdms.values())),
            list(rdms),
            "layer",
            film.volume_times,
            {
                "model": model,
                "run": film.run,
                "film": film.film.name,
                "first_frame_s": f"{film.first_frame_s:.3f}",
                "made_from": self.inputs.made_from[model],
            },
            dissimilarity,
        )


def share_decoding(
    entries: Sequence[ModelEntry], n_volumes: int, scratch_bytes_allowed: float
) -> Iterator[list[ModelEntry]]:
    """Group models so that each group's features fit on scratch; a group shares one decoding."""
    group: list[ModelEntry] = []
    taken = 0
    for entry in entries:
        size = scratch_bytes(entry, n_volumes)
        if group and taken + size > scratch_bytes_allowed:
            yield group
            group, taken = [], 0
        group.append(entry)
        taken += size
    if group:
        yield group


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
