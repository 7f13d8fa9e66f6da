"""Pages of the documentation that are made from the code when the site is built."""

import argparse
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from bidsapp.cli import demo, fmriprep, models, parser
from bidsapp.reports.methods.works import works
from bidsapp.tables.columns import describe, tables

ROOT = Path(__file__).parent.parent


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """List pages that the navigation of mkdocs.yml does not have yet."""
    listed = re.findall(r"[\w/-]+\.md", str(config.nav))
    known = {path.relative_to(config.docs_dir) for path in Path(config.docs_dir).rglob("*.md")}
    more = sorted(path.as_posix() for path in known if path.as_posix() not in listed)
    if more and config.nav is not None:
        config.nav.append({"More": more})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what the README, the parser and columns.yaml say to the pages of docs/."""
    pages = {
        "index.md": _without_docs_folder(ROOT / "README.md"),
        "changes.md": _without_docs_folder(ROOT / "CHANGES.md"),
        "reference/options.md": options_page(),
        "reference/columns.md": columns_page(),
    }
    for name, content in pages.items():
        files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put the list of works where a page asks for it."""
    return markdown.replace("<!-- references -->", reference_list())


def reference_list() -> str:
    """Return every work of references.yaml in full, in the order of the alphabet."""
    full = sorted(work.full for work in works().values())
    return "\n".join("- " + re.sub(r"([\\`*_<])", r"\\\1", work) for work in full)


def _without_docs_folder(path: Path) -> str:
    """Read a page of the root, whose links begin in docs/ and not beside it."""
    text = path.read_text(encoding="utf-8").replace("](docs/", "](")
    text = text.replace("[docs/examples](examples)", "`docs/examples`")
    return re.sub(r"\[([^\]]+)\]\((?:CITATION\.cff|LICENSE)\)", r"`\1`", text)


def options_page() -> str:
    """Return every argument of every command, group by group, as its help has it."""
    commands = [each.build_parser() for each in (parser, models, fmriprep, demo)]
    parts = ["# Options", "As `--help` has them."]
    for command in commands:
        parts += _command(command)
        for verb in _verbs(command):
            parts += _command(verb)
    return "\n\n".join(parts) + "\n"


def _command(command: argparse.ArgumentParser) -> Iterator[str]:
    yield f"## {command.prog}"
    yield f"```\n{command.format_usage()}```"
    yield command.description or ""
    for group in command._action_groups:  # argparse has no public way to its groups
        rows = [row for action in group._group_actions for row in _option_rows(action)]
        if rows:
            title = (group.title or "").capitalize()
            yield f"### {title}\n\n| argument | meaning |\n|---|---|\n" + "\n".join(rows)


def _verbs(command: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    for action in command._actions:
        if isinstance(action, argparse._SubParsersAction):
            for choice in action._choices_actions:
                verb = action.choices[choice.dest]
                said = choice.help or ""
                verb.description = f"{said[:1].upper()}{said[1:]}."
                yield verb


def _option_rows(action: argparse.Action) -> Iterator[str]:
    if action.help == argparse.SUPPRESS:
        return
    if not action.option_strings:
        names = f"`{_choices(action) or action.metavar or action.dest.upper()}`"
    else:
        named = action.metavar or (action.dest.upper() if action.nargs != 0 else "")
        value = _choices(action) or named
        if isinstance(action.nargs, int):
            value = " ".join([value] * action.nargs)
        more = " ..." if action.nargs == "+" else ""
        names = ", ".join(f"`{flag}`" for flag in action.option_strings if "_" not in flag)
        names += f" `{value}{more}`" if value else ""
    said = (action.help or "").replace("%%", "%")
    # What this machine has is no default of the app's.
    said = re.sub(r"cores \(default: \d+\)", "cores (default: all)", said)
    yield f"| {names} | {_cell(said)} |"


def _choices(action: argparse.Action) -> str:
    return "{" + ",".join(map(str, action.choices)) + "}" if action.choices else ""


def columns_page() -> str:
    """Return every column of every table, with its meaning and unit."""
    parts = ["# Columns", "Each table's JSON says the same beside the file."]
    for level, names in tables().items():
        for name in names:
            parts.append(f"## {level}: {name}\n\n{_columns(describe(name, level))}")
    return "\n\n".join(parts) + "\n"


def _columns(described: Mapping[str, Mapping[str, str]]) -> str:
    rows = [
        f"| `{name}` | {_cell(its.get('Description', ''))} | {_cell(its.get('Units', ''))} |"
        for name, its in described.items()
    ]
    return "\n".join(("| column | meaning | unit |", "|---|---|---|", *rows))


def _cell(text: str) -> str:
    return text.strip().replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
