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
from bidsapp.dataset.derivatives import write_image
from bidsapp.dataset.raw import read_events
from bidsapp.interfaces.staging import staged_tree
from bidsapp.rois.localizer import LocalizerRun, design_matrix, fit_localizer, motion_confounds

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
    entities = traits.Dict(mandatory=True, desc="BIDS entities of the maps")
    metadata = traits.Dict(mandatory=True, desc="SpatialReference and Sources of the maps")


class _LocalizerOutputSpec(TraitedSpec):
    staged = Directory(exists=True)
    t_maps = traits.Dict(desc="contrast: file")
    z_maps = traits.Dict(desc="contrast: file")


class LocalizerMaps(SimpleInterface):
    """General linear model of the localizer: t, z, effect and variance maps of each contrast."""

    input_spec = _LocalizerInputSpec
    output_spec = _LocalizerOutputSpec

    def _run_interface(self, runtime: Bunch) -> Bunch:
        spec = Localizer.model_validate(self.inputs.spec)
        tree = staged_tree(runtime.cwd)
        written: dict[str, dict[str, str]] = {statistic: {} for statistic in _STATISTICS}
        for contrast, maps in fit_localizer(self._runs(spec), spec).items():
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
