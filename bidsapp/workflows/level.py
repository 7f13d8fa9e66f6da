"""What all levels check first; then the level itself, whose libraries are imported only now."""

from importlib import import_module

from bidsapp.analysis.spec import Analysis
from bidsapp.dataset.description import check_same_analysis
from bidsapp.settings import Settings
from bidsapp.workflows.bookkeeping import start
from bidsapp.workflows.inputs import check_folders
from bidsapp.workflows.models import check_models
from bidsapp.workflows.plugin_file import read_plugin
from bidsapp.workflows.schedulers import check_programs


def run_level(settings: Settings, analysis: Analysis) -> int:
    """Run the level that the settings name.

    Returns
    -------
    int
        0 when everything asked for is there, 1 when a participant or a step is missing.
    """
    check_models(settings, analysis)
    check_folders(settings, analysis)
    if settings.nipype_plugin_file is not None:
        # To refuse it early.
        plugin = read_plugin(settings.nipype_plugin_file, settings)["plugin"]
        if not (settings.dry_run or settings.boilerplate_only):
            check_programs(plugin)
    check_same_analysis(settings.output_dir, analysis, settings.full_space)
    if settings.boilerplate_only:
        start(settings, analysis)
        return 0
    apart = settings.dry_run and settings.level != "group"
    module = "dryrun" if apart else settings.level
    status: int = import_module(f"bidsapp.workflows.{module}").run(settings, analysis)
    return status
