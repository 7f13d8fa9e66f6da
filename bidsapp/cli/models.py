"""Start of ``moviersa-models``: what the catalogue holds."""

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from bidsapp import __version__
from bidsapp.cli.parser import Parser
from bidsapp.errors import MoviersaError


def main(argv: Sequence[str] | None = None) -> None:
    """List the models of the catalogue, or describe one."""
    parser = Parser(prog="moviersa-models", description="The vision models that moviersa knows.")
    parser.add_argument("--version", action="version", version=f"moviersa-models {__version__}")
    parser.add_argument("--model-catalogue", type=Path, help="YAML file with models of your own")
    verbs = parser.add_subparsers(dest="verb", required=True, parser_class=Parser)
    verbs.add_parser("list", help="name every model")
    info = verbs.add_parser("info", help="describe one model")
    info.add_argument("name")
    given = parser.parse_args(argv)
    try:
        text = _list(given.model_catalogue) if given.verb == "list" else _info(given)
    except MoviersaError as error:
        sys.stderr.write(f"moviersa-models: error: {error}\n")
        sys.exit(error.exit_status)
    sys.stdout.write(text)


def _list(catalogue: Path | None) -> str:
    from bidsapp.vision.catalogue import read_catalogue

    entries = read_catalogue(catalogue).values()
    width = max(len(entry.name) for entry in entries)
    return "".join(f"{entry.name:{width}}  {entry.label}\n" for entry in entries)


def _info(given: Namespace) -> str:
    import yaml

    from bidsapp.vision.catalogue import find_model

    entry = find_model(given.name, given.model_catalogue)
    return str(yaml.safe_dump(entry.model_dump(mode="json"), sort_keys=False, allow_unicode=True))
