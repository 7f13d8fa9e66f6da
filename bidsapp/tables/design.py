"""What the columns of a localizer run's design matrix are."""

import pandas as pd

from bidsapp.analysis.spec import Localizer


def design_columns(design: pd.DataFrame, spec: Localizer) -> dict[str, dict[str, str]]:
    """Describe each regressor of a design, (n_volumes, n_regressors), in its order."""
    return {str(name): {"Description": _meaning(str(name), spec)} for name in design}


def _meaning(name: str, spec: Localizer) -> str:
    if name in spec.conditions:
        return f"The condition {name}, convolved with the response {spec.hrf_model}."
    if name.removesuffix("_derivative") in spec.conditions:
        return f"Temporal derivative of {name.removesuffix('_derivative')}."
    if name.startswith("drift_"):
        return f"Cosine drift, up to a period of {spec.high_pass_s:g} s."
    if name == "constant":
        return "Intercept."
    return "Confound, as in fMRIPrep's table."
