"""How any model's RDMs are made from a film."""

from dataclasses import dataclass, field

from bidsapp.analysis.processing import Extraction
from bidsapp.vision.framing import Framing
from bidsapp.vision.hemodynamics import HRF_S


@dataclass(frozen=True)
class Recipe:
    """What is seen of a frame, the response, and what is approximated.

    Attributes
    ----------
    framing
        How frames are cut.
    hrf_s
        Length of the haemodynamic response in seconds.
    extraction
        Autocast, projection, and how much of a film may be broken.
    """

    framing: Framing = field(default_factory=Framing)
    hrf_s: float = HRF_S
    extraction: Extraction = field(default_factory=Extraction)
