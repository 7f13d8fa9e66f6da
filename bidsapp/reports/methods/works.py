"""The works that the methods text cites, as they stand in a list of references and in BibTeX."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import yaml

_IN_ENTRIES = ("journal", "booktitle", "volume", "number", "pages", "publisher", "year", "doi")
_BIBTEX = str.maketrans({character: f"\\{character}" for character in "&%$#_"})


@dataclass(frozen=True)
class Work:
    """One work; ``others`` as the last author stands for all further ones.

    It may describe the ``dataset`` of the analysis of that name, or networks of ``architectures``,
    as the catalogue of models calls them.
    """

    short: str
    type: str
    authors: tuple[str, ...]
    title: str
    journal: str = ""
    booktitle: str = ""
    publisher: str = ""
    volume: str = ""
    number: str = ""
    pages: str = ""
    year: int | None = None
    doi: str = ""
    dataset: str = ""
    architectures: tuple[str, ...] = ()

    @property
    def full(self) -> str:
        """The work as it stands in a list of references."""
        names = (name.strip("{}") for name in self.authors)  # braces keep a group's name whole
        authors = ", ".join("et al." if name == "others" else name for name in names)
        year = f" ({self.year})." if self.year else ""
        issue = f"{self.volume}({self.number})" if self.number else self.volume
        venue = (self.journal or self.booktitle or self.publisher, issue, self.pages)
        where = ", ".join(part for part in venue if part)
        title = self.title if self.title.endswith("?") else f"{self.title}."
        doi = f" doi:{self.doi}" if self.doi else ""
        return f"{authors}{year} {title}{f' {where}.' if where else ''}{doi}"

    def bibtex(self, key: str) -> str:
        """Return the work as an entry of a .bib file; capitals of the title are kept."""
        fields = {
            "author": " and ".join(self.authors),
            "title": f"{{{self.title}}}",
            **{name: str(value) for name in _IN_ENTRIES if (value := getattr(self, name))},
        }
        if self.type == "misc":  # which knows no publisher
            fields["howpublished"] = fields.pop("publisher")
        if self.type == "unpublished":
            fields["note"] = "Unpublished"  # which this type must have
        lines = [
            f"  {name} = {{{value if name == 'doi' else value.translate(_BIBTEX)}}}"
            for name, value in fields.items()
        ]
        return f"@{self.type}{{{key},\n" + ",\n".join(lines) + "\n}\n"


@cache
def works() -> dict[str, Work]:
    """Return every work, by key."""
    source = files("bidsapp.reports").joinpath("references.yaml")
    content = yaml.safe_load(source.read_text(encoding="utf-8"))
    lists = ("authors", "architectures")
    return {
        key: Work(**fields | {name: tuple(fields.get(name, ())) for name in lists})
        for key, fields in content.items()
    }
