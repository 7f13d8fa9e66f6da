"""Steps write below their own folder, under final names; one last step publishes all of it."""

import shutil
from pathlib import Path

from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    Bunch,
    Directory,
    InputMultiObject,
    SimpleInterface,
    TraitedSpec,
    traits,
)

from bidsapp.dataset.derivatives import OutputTree, sidecar
from bidsapp.files import whole_file

STAGED = "staged"


def staged_tree(cwd: str) -> OutputTree:
    """Return the output tree of a step that runs in ``cwd``, empty."""
    root = Path(cwd) / STAGED
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    return OutputTree(root)


class _PublishInputSpec(BaseInterfaceInputSpec):
    staged = InputMultiObject(Directory(exists=True), mandatory=True, desc="folders of steps")
    output_dir = Directory(mandatory=True, desc="where the results go")


class _PublishOutputSpec(TraitedSpec):
    files = traits.List(traits.Str, desc="what was written")


class Publish(SimpleInterface):
    """Copy staged files into the output directory, each under a temporary name and then renamed."""

    input_spec = _PublishInputSpec
    output_spec = _PublishOutputSpec
    _always_run = True

    def _run_interface(self, runtime: Bunch) -> Bunch:
        output = Path(self.inputs.output_dir)
        published = []
        for folder in map(Path, self.inputs.staged):
            for source in sorted(path for path in folder.rglob("*") if path.is_file()):
                target = output / source.relative_to(folder)
                if target.suffix == ".h5":  # an old sidecar must never describe a new file
                    sidecar(target).unlink(missing_ok=True)
                with whole_file(target) as temporary:
                    shutil.copyfile(source, temporary)
                published.append(str(target))
        self._results["files"] = published
        return runtime
