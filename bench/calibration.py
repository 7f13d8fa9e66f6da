"""Is p right where nothing is planted? ``python -m bench.calibration --jobs 2 --bold DIR``.

Each study is made of brains and films that have nothing to do with each other, which the app's own
code denoises, compares and tests. Counted is how often each test of each model says p < .05. The
same with an effect planted says how often it passes then; the same with mistakes says what the
robust mode guards against. Finished studies are kept, and another call goes on from there: after a
change of the code give another ``--work``.
"""

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter

import pandas as pd

from bench import calibration_bold
from bench.calibration_cells import CELLS
from bench.calibration_shares import flagged, shares, summary
from bench.calibration_study import setting_seed, studies

CHUNK = 10  # studies
FRESH = 10_000  # first seed of the studies that repeat a cell


@dataclass(frozen=True)
class Chunk:
    """Some studies of a cell, and the file that keeps their tests."""

    cell: str
    seeds: range
    path: Path

    def run(self, bold: Path | None) -> None:
        """Make the studies, and the file once all of them are there."""
        tests = studies(CELLS[self.cell].setting, self.seeds, bold)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(".part")
        tests.to_csv(partial, sep="\t", index=False, float_format="%.6g")
        partial.replace(self.path)


def chunks(cell: str, seeds: range, folder: Path) -> Iterator[Chunk]:
    """Cut a cell's studies into chunks; those of another setting have other files."""
    slug = re.sub(r"[^a-z0-9.]+", "-", cell.lower())
    own = folder / f"{slug}-{setting_seed(CELLS[cell].setting):08x}"
    for start in seeds[::CHUNK]:
        some = range(start, min(start + CHUNK, seeds.stop))
        yield Chunk(cell, some, own / f"{some.start:05d}-{len(some)}.tsv")


def run(todo: Sequence[Chunk], jobs: int, bold: Path | None) -> None:
    """Run the chunks that are not there yet, each on one core, and tell of each."""
    todo = [chunk for chunk in todo if not chunk.path.is_file()]
    start = perf_counter()
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        running = {pool.submit(chunk.run, bold): chunk for chunk in todo}
        for i, future in enumerate(as_completed(running), 1):
            future.result()
            seconds = perf_counter() - start
            cell = running[future].cell
            sys.stdout.write(f"{i} of {len(todo)} chunks in {seconds:.0f} s: {cell}\n")
            sys.stdout.flush()


def table_of(done: Sequence[Chunk], seeds: str) -> pd.DataFrame:
    """Share of p < .05 in each cell; the studies of chunks that are not there are left out."""
    parts = []
    for cell in dict.fromkeys(chunk.cell for chunk in done):
        files = [chunk.path for chunk in done if chunk.cell == cell and chunk.path.is_file()]
        if files:
            tests = pd.concat([pd.read_csv(path, sep="\t") for path in files])
            part = shares(tests)
            part.insert(0, "cell", cell)
            part.insert(1, "seeds", seeds)
            parts.append(part)
    return flagged(pd.concat(parts, ignore_index=True))


def main() -> None:
    """Run the cells, those above chance anew with fresh seeds, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", choices=list(CELLS), help="cells; default: all")
    parser.add_argument("--studies", type=int, help="of each cell; default: what the cell says")
    parser.add_argument("--jobs", type=int, default=1, help="processes of one thread each")
    parser.add_argument("--bold", type=Path, help="sub001/BOLD of haxby2001; none: no real BOLD")
    parser.add_argument("--repeat", action="store_true", help="cells above chance, once more")
    parser.add_argument("--work", type=Path, default=Path("build/calibration"), help="kept studies")
    parser.add_argument("--out", type=Path, default=Path("build/calibration.tsv"))
    options = parser.parse_args()
    cells = _possible(options.only or list(CELLS), options.bold)
    if not cells:
        parser.error("no cell is left")
    number = {name: options.studies or CELLS[name].studies for name in cells}
    first = [c for name in cells for c in chunks(name, range(number[name]), options.work)]
    run(first, options.jobs, options.bold)
    table = table_of(first, "first")
    if options.repeat:
        table = pd.concat([table, _repeated(table, options, number)], ignore_index=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(options.out, sep="\t", index=False, float_format="%.4f")
    sys.stdout.write(summary(table))


def _possible(cells: Sequence[str], bold: Path | None) -> list[str]:
    """Leave out the cells of real BOLD where it is absent, and say so."""
    if bold is not None and calibration_bold.is_there(bold):
        return list(cells)
    real = [name for name in cells if CELLS[name].setting.noise == "bold"]
    if real:
        sys.stdout.write(f"no real BOLD at {bold}: left out are {'; '.join(real)}\n")
    return [name for name in cells if name not in real]


def _repeated(
    table: pd.DataFrame, options: argparse.Namespace, number: dict[str, int]
) -> pd.DataFrame:
    """Repeat each cell with a model above chance, and give the rows of these models."""
    above = table[table["chance"] == "above"]
    fresh = [
        chunk
        for name in above["cell"].unique()
        for chunk in chunks(name, range(FRESH, FRESH + number[name]), options.work)
    ]
    if not fresh:
        return above
    run(fresh, options.jobs, options.bold)
    keys = ["cell", "mode", "fit", "model"]
    return table_of(fresh, "fresh").merge(above[keys], on=keys)


if __name__ == "__main__":
    main()
