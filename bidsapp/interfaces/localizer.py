"""The step that fits the localizer and writes its statistical maps."""

from pathlib import Path

from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    Bunch,
    Directory,
    File,
    SimpleInterface,
    TraitedSpec,
    traits,
)

from bidsapp.analysis.spec import Localizer
from bidsapp.dataset.derivatives import OutputTree, write_image, write_table
from bidsapp.dataset.raw import read_events
from bidsapp.interfaces.staging import staged_tree
from bidsapp.rois.localizer import LocalizerRun, design_matrix, fit_localizer, motion_confounds
from bidsapp.tables.design import design_columns

_STATISTICS = {"t": "t", "z": "z", "effect": "% signal change", "variance": "(% signal change)^2"}


class _LocalizerInputSpec(BaseInterfaceInputSpec):
    bold = traits.List(File(exists=True), mandatory=True, desc="one preprocessed series a run")
    mask = traits.List(File(exists=True), mandatory=True)
    confounds = traits.List(File(exists=True), mandatory=True)
    events = traits.List(File(exists=True), mandatory=True)
    n_volumes = traits.List(traits.Int, mandatory=True)
    repetition_time = traits.List(traits.Float, mandatory=True, desc="s")
    start_time = traits.List(traits.Float, mandatory=True, desc="s")
    spec = traits.Dict(mandatory=True, desc="the analysis file's localizer")
    runs = traits.List(traits.Str, mandatory=True, desc="the runs' names")
    entities = traits.Dict(mandatory=True, desc="BIDS entities of the maps")
    metadata = traits.Dict(mandatory=True, desc="SpatialReference and Sources of the maps")


class _LocalizerOutputSpec(TraitedSpec):
    staged = Directory(exists=True)
    t_maps = traits.Dict(desc="contrast: file")
    z_maps = traits.Dict(desc="contrast: file")


class LocalizerMaps(SimpleInterface):
    """General linear model of the localizer: designs, and t, z, effect and variance maps."""

    input_spec = _LocalizerInputSpec
    output_spec = _LocalizerOutputSpec

    def _run_interface(self, runtime: Bunch) -> Bunch:
        spec = Localizer.model_validate(self.inputs.spec)
        tree = staged_tree(runtime.cwd)
        written: dict[str, dict[str, str]] = {statistic: {} for statistic in _STATISTICS}
        runs = self._runs(spec)
        self._write_designs(tree, runs, spec)
        for contrast, maps in fit_localizer(runs, spec).items():
            for statistic, units in _STATISTICS.items():
                image = getattr(maps, statistic)
                path = tree.path(
                    "statmap", **self.inputs.entities, contrast=contrast, stat=statistic
                )
                metadata = {
                    **self.inputs.metadata,
                    "Statistic": statistic,
                    "Units": units,
                    "ContrastWeights": spec.contrasts[contrast].condition_weights,
                }
                write_image(path, image.get_fdata(), image.affine, metadata)
                written[statistic][contrast] = str(path)
        self._results |= {
            "staged": str(tree.root),
            "t_maps": written["t"],
            "z_maps": written["z"],
        }
        return runtime

    def _write_designs(self, tree: OutputTree, runs: list[LocalizerRun], spec: Localizer) -> None:
        entities = {key: its for key, its in self.inputs.entities.items() if key != "space"}
        for name, run in zip(self.inputs.runs, runs, strict=True):
            path = tree.path("participant_stats", **(entities | {"run": name, "desc": "design"}))
            write_table(path, run.design, design_columns(run.design, spec))

    def _runs(self, spec: Localizer) -> list[LocalizerRun]:
        inputs = self.inputs
        runs = []
        for i, events in enumerate(inputs.events):
            design = design_matrix(
                read_events(Path(events)),
                motion_confounds(Path(inputs.confounds[i]), spec),
                inputs.n_volumes[i],
                inputs.repetition_time[i],
                inputs.start_time[i],
                spec,
                source=Path(events),
            )
            runs.append(LocalizerRun(Path(inputs.bold[i]), Path(inputs.mask[i]), design))
        return runs
