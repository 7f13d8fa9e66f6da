"""The models that can be compared with the brain, as the catalogue and a user's file list them."""

import re
from difflib import get_close_matches
from functools import lru_cache
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    model_validator,
)

from bidsapp.analysis.part import Dissimilarity
from bidsapp.errors import UsageError

LEAVES = "leaves"
Colours = tuple[float, float, float]
Count = Annotated[int, Field(ge=1)]
Interpolation = Literal["bilinear", "bicubic"]


_EXPONENT = re.compile(r"[-+]?\d+e[-+]?\d+")  # of 1e-6, which YAML 1.1 takes for a word


def _pairs(value: object) -> object:
    """Turn a mapping into sorted pairs, which can be hashed."""
    if not isinstance(value, dict):
        return value
    read = {
        key: float(given) if isinstance(given, str) and _EXPONENT.fullmatch(given) else given
        for key, given in value.items()
    }
    return tuple(sorted(read.items()))


Options = Annotated[
    tuple[tuple[str, bool | int | float | str], ...], BeforeValidator(_pairs), PlainSerializer(dict)
]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Checkpoint(_Part):
    """A file of trained weights, which is never shipped: where it is published, on what terms.

    ``obtained`` says how it comes into the folder of weights: ``fetch`` by moviersa-models, by
    ``hand`` from a page that lets no program download it, or only by ``training``. ``unused`` are
    patterns of names in the file that the network has no use for, such as a decoder.
    """

    file: str
    url: str
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{8,64}$")] | None = None  # or its first digits
    licence: str
    obtained: Literal["fetch", "hand", "training"] = "fetch"
    unused: tuple[str, ...] = ()


class ClipInput(_Part):
    """What a network is given: windows of frames, their size in pixels, and the scale of pixels.

    A window holds every ``stride``-th frame and belongs to its first frame (``forward``) or to its
    middle (``centred``; of two middle frames the earlier). ``resize`` is the
    side that a frame's square is resized to before its centre of ``size`` is cut; None: ``size``,
    all is seen.
    """

    window: Count = 1
    stride: Count = 1
    placement: Literal["forward", "centred"] = "forward"
    size: Count
    resize: Count | None = None
    interpolation: Interpolation = "bilinear"
    range: tuple[float, float] = (0.0, 1.0)
    mean: Colours = (0.0, 0.0, 0.0)
    std: Colours = (1.0, 1.0, 1.0)

    @model_validator(mode="after")
    def _scaled_once(self) -> Self:
        """Refuse a mean outside the range, or an SD under a grey level: another scale's figures."""
        low, high = self.range
        if not low < high:
            raise ValueError(f"range must increase, not go from {low:g} to {high:g}")
        for mean, std in zip(self.mean, self.std, strict=True):
            if not low <= mean <= high or not (high - low) / 256 <= std <= high - low:
                raise ValueError(
                    f"mean {mean:g} and std {std:g} are not those of pixels from {low:g} to "
                    f"{high:g}: pixels are brought to range first, then mean and std are applied"
                )
        return self

    @model_validator(mode="after")
    def _cut_from_more(self) -> Self:
        if self.resize is not None and self.resize < self.size:
            raise ValueError(f"resize {self.resize} is less than size {self.size}, cut from it")
        return self

    @property
    def offsets(self) -> tuple[int, ...]:
        """Places of a window's frames, relative to the frame that it belongs to."""
        before = (self.window - 1) // 2 if self.placement == "centred" else 0
        return tuple((place - before) * self.stride for place in range(self.window))


class ModelEntry(_Part):
    """One model of the catalogue."""

    name: Annotated[str, Field(pattern=r"^[0-9a-zA-Z][0-9a-zA-Z.:,@*/_-]*$")]
    label: str
    source: str
    architecture: str
    options: Options = ()  # of the architecture; a mapping in the file
    checkpoint: Checkpoint | None = None
    seed: int | None = None
    input: ClipInput
    layers: tuple[str, ...] = Field(min_length=1)  # names, patterns, or "leaves" for every leaf
    tap: Literal["output", "input"] = "output"
    dissimilarity: Dissimilarity = "correlation"

    @model_validator(mode="after")
    def _is_one_model(self) -> Self:
        if self.checkpoint is not None and self.seed is not None:
            raise ValueError("give a checkpoint or a seed, not both")
        if len(set(self.layers)) != len(self.layers):
            raise ValueError("a layer is listed twice")
        return self

    @property
    def has_patterns(self) -> bool:
        """Whether only the network itself tells which layers are meant."""
        return any(layer == LEAVES or set(layer) & set("*?[") for layer in self.layers)


class _Catalogue(_Part):
    models: tuple[ModelEntry, ...]

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [entry.name for entry in self.models]
        if len(set(names)) != len(names):
            raise ValueError("a model is listed twice")
        return self


def read_catalogue(user_catalogue: Path | None = None) -> dict[str, ModelEntry]:
    """Read every known model, by name, in the order of the files.

    Parameters
    ----------
    user_catalogue
        A YAML file of the same form as ``catalogue.yaml``, whose models are added.

    Raises
    ------
    UsageError
        The user's file is absent, is not YAML, has an unknown key or a wrong value, or gives a new
        meaning to a name of the catalogue.
    """
    known = _read(Path(str(files("bidsapp.vision") / "catalogue.yaml")))
    added = {} if user_catalogue is None else _read(user_catalogue)
    both = sorted(known.keys() & added.keys())
    if both:
        raise UsageError(f"{user_catalogue}: the name '{both[0]}' is taken; choose another")
    return known | added


def find_model(name: str, user_catalogue: Path | None = None) -> ModelEntry:
    """Return the model of that name, of the catalogue or, as ``timm:NAME``, of another library.

    Raises
    ------
    UsageError
        There is none; the message lists those that there are. Also as `read_catalogue`.
    """
    known = read_catalogue(user_catalogue)
    if name in known:
        return known[name]
    if ":" in name:  # imported late: only then does a library have to be asked
        entry: ModelEntry = import_module("bidsapp.vision.networks.library").library_entry(name)
        return entry
    near = get_close_matches(name, known, 3)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    raise UsageError(
        f"unknown model '{name}'{hint} (known: {', '.join(known)}, and networks of other libraries "
        "as torchvision:NAME, timm:NAME or transformers:TYPE)"
    )


def _read(path: Path) -> dict[str, ModelEntry]:
    try:
        return _parsed(path, path.stat().st_mtime_ns)
    except OSError as error:
        raise UsageError(f"cannot read the catalogue {path}: {error.strerror}") from error


@lru_cache(maxsize=8)
def _parsed(path: Path, _changed: int) -> dict[str, ModelEntry]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        catalogue = _Catalogue.model_validate(content)
    except yaml.YAMLError as error:
        raise UsageError(f"{path} is not valid YAML: {error}") from error
    except ValidationError as error:
        problems = (
            f"'{'.'.join(map(str, p['loc']))}': {p['msg'].removeprefix('Value error, ')}"
            for p in error.errors()
        )
        raise UsageError(f"{path}: {'; '.join(problems)}") from error
    return {entry.name: entry for entry in catalogue.models}
