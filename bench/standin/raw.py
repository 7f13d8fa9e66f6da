"""The raw dataset, as a partial download by DataLad leaves it: links without content and all."""

import gzip
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from bench.standin.bold import nifti_header
from bench.standin.movie_events import derived_events
from bench.standin.size import Size
from bench.standin.source import MOVIE, RunHeader, Source
from bidsapp.files import whole_file, write_text

_ZERO_VOLUMES = 16  # in one member of a compressed file


def write_raw(bids: Path, source: Source, size: Size, downloaded: Sequence[str]) -> None:
    """Write every path of the real dataset.

    Metadata and events are there for all participants, images for those ``downloaded`` alone;
    what was not downloaded is a link to nothing.
    """
    for path in source.root_files():
        target = bids / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    dumps = _dumps(source)
    for name in source.tree:
        path = bids / name
        if path.exists() or path.is_symlink():
            continue
        if name.endswith("_events.tsv"):
            _write_events(path, name, source, size)
        elif name.endswith("_bold.json"):
            write_text(path, _dump(dumps, source, size, name, downloaded))
        elif name.endswith("_bold.nii.gz") and _participant(name) in downloaded:
            _write_image(path, _header(source, size, name))
        else:
            write_link(path, bids, source.annex_keys.get(name, f"MD5E-s0--{path.name}"))


def write_link(path: Path, root: Path, key: str) -> None:
    """Write what git-annex leaves of a file whose content is elsewhere."""
    if path.is_symlink():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    up = Path(*[".."] * (len(path.relative_to(root).parts) - 1))
    path.symlink_to(up / ".git" / "annex" / "objects" / key[-10:-8] / key[-8:-6] / key / key)


def _participant(name: str) -> str:
    return name.split("/")[0].removeprefix("sub-")


def _task_and_run(name: str) -> tuple[str, str]:
    entities = dict(part.split("-", 1) for part in name.split("/")[-1].split("_") if "-" in part)
    return entities["task"], entities["run"]


def _header(source: Source, size: Size, name: str) -> RunHeader:
    return size.header(source, _participant(name), *_task_and_run(name))


def _write_events(path: Path, name: str, source: Source, size: Size) -> None:
    """Write events as they are, carriage returns too."""
    task, run = _task_and_run(name)
    rows = size.frames_of_run if task == MOVIE else None
    real = source.real_events(name)
    if real is not None:
        lines = real.read_bytes().decode().splitlines(keepends=True)
        write_text(path, "".join(lines[: None if rows is None else rows + 1]))
        return
    table = derived_events(source, _participant(name), run)
    text = table[:rows].to_csv(sep="\t", index=False, float_format="%.3f", lineterminator="\r\n")
    write_text(path, text)


def _write_image(path: Path, header: RunHeader) -> None:
    """Write a raw image with its true header and zeros: the application reads none."""
    volume = bytes(2 * header.shape[0] * header.shape[1] * header.shape[2])
    many, rest = divmod(header.volumes, _ZERO_VOLUMES)
    with whole_file(path) as temporary:
        member = gzip.compress(volume * _ZERO_VOLUMES, 1, mtime=0)
        content = [gzip.compress(nifti_header(header), 1, mtime=0), *[member] * many]
        temporary.write_bytes(b"".join([*content, gzip.compress(volume * rest, 1, mtime=0)]))


def _dumps(source: Source) -> dict[str, str]:
    """Real DICOM dumps by task: some of a megabyte, with the TR nested and in milliseconds."""
    found = {}
    for path in sorted(source.dataset.glob("sub-*/ses-*/func/*_bold.json")):
        found[path.name.split("_task-")[1].split("_")[0]] = path.read_text(encoding="utf-8")
    return found


def _dump(
    dumps: dict[str, str], source: Source, size: Size, name: str, downloaded: Sequence[str]
) -> str:
    task, _ = _task_and_run(name)
    header = _header(source, size, name)
    if _participant(name) in downloaded and task in dumps:
        content = json.loads(dumps[task])
    else:
        content = {"global": {"const": {"RepetitionTime": 1000 * header.repetition_time}}}
    content["dcmmeta_shape"] = [*header.shape, header.volumes]
    content["dcmmeta_affine"] = header.affine.tolist()
    return json.dumps(content)
