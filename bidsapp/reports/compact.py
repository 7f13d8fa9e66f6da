"""Small SVG: what matplotlib writes at length, said once."""

import base64
import io
import re

import numpy as np
from PIL import Image

_MARKERS = re.compile(r'<use [^>]*? (style="[^"]+")/>(?:\s*<use [^>]*? \1/>)+')
_PICTURE = re.compile(r"data:image/png;base64,\s*([^\"]+)")
_MAX_COLOURS = 256  # of a PNG with a palette


def compact(svg: str) -> str:
    """Return an SVG element that draws the same in fewer bytes.

    Coordinates keep two decimals, markers that look alike share one style, and images of few
    colours become images with a palette.
    """
    svg = re.sub(r"<[^>]*>", lambda tag: _shorter(tag[0]), svg)
    svg = _MARKERS.sub(_share_style, re.sub(r"\n\s+<", "\n<", svg))
    return _PICTURE.sub(lambda match: _with_palette(match[1]), svg)


def _shorter(tag: str) -> str:
    if "base64" in tag:
        return tag
    rounded = re.sub(r"\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}", tag)
    return rounded.replace("\n", " ")


def _share_style(uses: re.Match[str]) -> str:
    style = uses[1]
    return f"<g {style}>{uses[0].replace(f' {style}', '')}</g>"


def _with_palette(content: str) -> str:
    """Store a PNG by its colours, if they are few enough; no pixel changes."""
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(content))).convert("RGBA"))
    packed = np.ascontiguousarray(pixels).view(np.uint32)[..., 0]
    colours, places = np.unique(packed, return_inverse=True)
    if len(colours) <= _MAX_COLOURS:
        palette = colours[:, None].view(np.uint8).reshape(-1, 4)
        image = Image.fromarray(places.reshape(packed.shape).astype(np.uint8))
        image.putpalette(palette[:, :3].tobytes())
        stream = io.BytesIO()
        image.save(stream, "PNG", transparency=palette[:, 3].tobytes(), optimize=True)
        content = base64.b64encode(stream.getvalue()).decode()
    return f"data:image/png;base64,{content}"
