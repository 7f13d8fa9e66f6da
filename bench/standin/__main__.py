"""Write the stand-in: ``python -m bench.standin DIR --shared FOLDER [--participants 01 06]``."""

import argparse
from pathlib import Path

from bench.standin.options import standin_options
from bench.standin.size import FULL, SMALL
from bench.standin.write import write_standin


def main() -> None:
    """Write the stand-in and print the options that analyse it."""
    parser = argparse.ArgumentParser(prog="python -m bench.standin", description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--shared", type=Path, required=True, help="folder of real data")
    parser.add_argument("--participants", nargs="+", default=["01"], metavar="LABEL")
    parser.add_argument("--small", action="store_true", help="few volumes of large voxels")
    words = parser.parse_args()
    size = SMALL if words.small else FULL
    root = write_standin(words.directory, words.shared, words.participants, size)
    print(f"moviersa {root}/bids {root}/out participant", *standin_options(root))


if __name__ == "__main__":
    main()
