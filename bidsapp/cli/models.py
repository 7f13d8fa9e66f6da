"""Start of ``moviersa-models``: what the catalogue holds, getting weights, RDMs of a film."""

import argparse
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from bidsapp import __version__
from bidsapp.cli import extract
from bidsapp.cli.ending import told_in_a_sentence
from bidsapp.cli.parser import Parser
from bidsapp.errors import MoviersaError


def main(argv: Sequence[str] | None = None) -> None:
    """List the models of the catalogue, describe one, download weights, or make RDMs of a film."""
    given = build_parser().parse_args(argv)
    with told_in_a_sentence("moviersa-models"):
        sys.stdout.write(_VERBS[given.verb](given))


def build_parser() -> Parser:
    """Build the parser and those of its verbs."""
    parser = Parser(prog="moviersa-models", description="The vision models that moviersa knows.")
    parser.add_argument("--version", action="version", version=f"moviersa-models {__version__}")
    _add_catalogue(parser, None)
    verbs = parser.add_subparsers(
        dest="verb", required=True, parser_class=Parser, help="each has options of its own"
    )
    verbs.add_parser("list", help="name every model")
    info = verbs.add_parser("info", help="describe one model")
    info.add_argument("name", metavar="NAME", help="of the model")
    get = verbs.add_parser("fetch", help="download the weights of models")
    get.add_argument("names", nargs="+", metavar="NAME", help="models")
    get.add_argument("--weights", type=Path, required=True, help="folder of checkpoints")
    extract.add_options(
        verbs.add_parser("extract", help="make the RDMs of models for a film, without a dataset")
    )
    for verb in verbs.choices.values():
        _add_catalogue(verb, argparse.SUPPRESS)  # so that it may come after the verb too
    return parser


def _add_catalogue(parser: argparse.ArgumentParser, default: str | None) -> None:
    parser.add_argument(
        "--model-catalogue", type=Path, default=default, help="YAML file with models of your own"
    )


def _list(given: Namespace) -> str:
    from bidsapp.vision.catalogue import read_catalogue

    entries = read_catalogue(given.model_catalogue).values()
    width = max(len(entry.name) for entry in entries)
    return "".join(f"{entry.name:{width}}  {entry.label}\n" for entry in entries)


def _info(given: Namespace) -> str:
    import yaml

    from bidsapp.vision.catalogue import find_model

    entry = find_model(given.name, given.model_catalogue)
    return str(yaml.safe_dump(entry.model_dump(mode="json"), sort_keys=False, allow_unicode=True))


def _fetch(given: Namespace) -> str:
    """Download what can be; name, after that, what cannot."""
    from bidsapp.vision.catalogue import find_model
    from bidsapp.vision.fetching import fetch

    entries = [find_model(name, given.model_catalogue) for name in given.names]
    done, refused = [], []
    for entry in entries:
        try:
            path = fetch(entry, given.weights, _Meter(entry.name).show)
        except MoviersaError as error:
            refused.append(error)
            continue
        licence = entry.checkpoint.licence if entry.checkpoint else ""
        done.append(f"{path}: {entry.name}; licence: {licence}\n")
    if refused:
        sys.stdout.writelines(done)
        raise type(refused[0])("; ".join(map(str, refused)))
    return "".join(done)


class _Meter:
    """Tells on standard error how much of a file has come, at every twentieth of it."""

    def __init__(self, name: str) -> None:
        self._name, self._told = name, -1

    def show(self, there: int, total: int | None) -> None:
        step = there * 20 // total if total else there >> 26
        if step > self._told:
            self._told = step
            whole = f" of {total / 1e6:.0f}" if total else ""
            sys.stderr.write(f"{self._name}: {there / 1e6:.0f}{whole} MB\n")


_VERBS = {"list": _list, "info": _info, "fetch": _fetch, "extract": extract.run}
