"""The one methods text as Markdown, HTML, LaTeX and BibTeX."""

import re
import unicodedata
from collections.abc import Callable
from html import escape

from bidsapp.reports.methods.text import Methods
from bidsapp.reports.methods.works import works

_MARK = re.compile(r"@\{(\w+)\}")  # what `wording.cite` puts in the place of a work
_TEX = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\symbol{34}",
    **{
        "−": "$-$",
        "±": r"$\pm$",
        "×": r"$\times$",
        "·": r"$\cdot$",
        "µ": r"$\mu$",
        "√": r"$\surd$",
    },
    **{"≥": r"$\geq$", "≤": r"$\leq$", "≠": r"$\neq$", "≈": r"$\approx$", "∞": r"$\infty$"},
    **{raised: rf"\textsuperscript{{{n}}}" for n, raised in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")},
}
_GREEK = re.compile("GREEK (SMALL|CAPITAL) LETTER (FINAL )?(?P<letter>[A-Z]+)")
_LIKE_LATIN = dict(zip("ΑΒΕΖΗΙΚΜΝΟΡΤΧο", "ABEZHIKMNOPTXo", strict=True))  # TeX has no commands
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|])")


def renderings(text: Methods) -> dict[str, str]:
    """Return the methods text in every format, by the ending of its file."""
    return {
        "md": markdown(text),
        "html": html(text),
        "tex": tex(text),
        "bib": bibtex(text),
    }


def plain(sentence: str) -> str:
    """Return a sentence with its works named, as in Kriegeskorte et al., 2008."""
    return _with_works(sentence, str, lambda key: works()[key].short)


def references(text: Methods) -> tuple[str, ...]:
    """Return the works cited in full, in the order of the alphabet."""
    return tuple(sorted(works()[key].full for key in text.cited))


def markdown(text: Methods) -> str:
    """Return the text as Markdown, with the works in full at its end."""

    def safe(said: str) -> str:
        return _MARKDOWN.sub(r"\\\1", said)

    parts = ["# Methods"]
    for title, body in text.paragraphs:
        named = _with_works(body, safe, lambda key: safe(works()[key].short))
        parts.append(f"## {title}\n\n{named}")
    parts += ["## References", "\n".join(f"- {safe(work)}" for work in references(text))]
    return "\n\n".join(parts) + "\n"


def html(text: Methods) -> str:
    """Return the text as a page of its own, whose works link to the list at its end."""
    paragraphs = [
        f"<h2>{escape(title)}</h2>\n<p>{_with_works(body, escape, _link)}</p>"
        for title, body in text.paragraphs
    ]
    cited = sorted(text.cited, key=lambda key: works()[key].full)
    items = [f'<li id="ref-{key}">{escape(works()[key].full)}</li>' for key in cited]
    return "\n".join(
        (
            '<!DOCTYPE html>\n<html lang="en">',
            '<head><meta charset="utf-8"><title>Methods</title></head>',
            "<body>\n<h1>Methods</h1>",
            *paragraphs,
            "<h2>References</h2>\n<ul>",
            *items,
            "</ul>\n</body>\n</html>\n",
        )
    )


def tex(text: Methods) -> str:
    r"""Return the text as a LaTeX document that finds its works, by ``\cite``, in CITATION.bib."""
    paragraphs = [
        f"\\section*{{{_escaped(title)}}}\n{_with_works(_unwrapped(body), _escaped, _command)}"
        for title, body in text.paragraphs
    ]
    return "\n\n".join(
        (
            _preamble("".join(paragraphs)),
            "\\begin{document}",
            *paragraphs,
            "\\bibliographystyle{unsrt}\n\\bibliography{CITATION}\n\\end{document}\n",
        )
    )


def bibtex(text: Methods) -> str:
    """Return the works cited as a .bib file."""
    return "\n".join(works()[key].bibtex(key) for key in text.cited)


def _with_works(body: str, safe: Callable[[str], str], name: Callable[[str], str]) -> str:
    """Make all of a text safe for a format, and name its works."""
    pieces = _MARK.split(body)
    return "".join(name(piece) if i % 2 else safe(piece) for i, piece in enumerate(pieces))


def _link(key: str) -> str:
    return f'<a href="#ref-{key}">{escape(works()[key].short)}</a>'


def _command(key: str) -> str:
    return f"\\cite{{{key}}}"


def _unwrapped(body: str) -> str:
    """Take off the parentheses round a work that stands alone: LaTeX puts its own."""
    return re.sub(r"\((@\{\w+\})\)", r"\1", body)


def _escaped(said: str) -> str:
    return "".join(map(_in_tex, unicodedata.normalize("NFC", said)))


def _in_tex(character: str) -> str:
    if character in _TEX or character in _LIKE_LATIN:
        return _TEX.get(character) or _LIKE_LATIN[character]
    greek = _GREEK.fullmatch(unicodedata.name(character, ""))
    if greek is None:
        return character
    letter = greek["letter"].lower().replace("lamda", "lambda")
    if greek[2]:
        return r"$\varsigma$"
    return f"$\\{letter.capitalize() if greek[1] == 'CAPITAL' else letter}$"


def _preamble(body: str) -> str:
    """Set up encodings; pdfLaTeX, which has no other scripts, writes their letters as numbers."""
    foreign = sorted({character for character in body if ord(character) > 0xFF})
    numbers = [
        f"  \\ifcsname u8:\\detokenize{{{character}}}\\endcsname\\else"
        f"\\DeclareUnicodeCharacter{{{ord(character):04X}}}{{[U+{ord(character):04X}]}}\\fi"
        for character in foreign
    ]
    return "\n".join(
        (
            "% pdfLaTeX or LuaLaTeX; scripts beyond Latin and Greek need LuaLaTeX and a font.",
            "\\documentclass{article}",
            "\\usepackage{iftex}",
            "\\ifPDFTeX",
            "  \\usepackage[T1]{fontenc}",
            "  \\usepackage[utf8]{inputenc}",
            *numbers,
            "\\fi",
        )
    )
