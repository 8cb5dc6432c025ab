"""Preparation of texts for matplotlib: names of images, shortened to fit."""

import os
from functools import lru_cache
from pathlib import Path
from typing import Any

CHARACTER_WIDTH = 0.62  # mean width of a character, as a fraction of the font size


def source_name(source: Any) -> str:
    """Return the file name of a path, and an empty string for an image in memory."""
    if not isinstance(source, str | os.PathLike):
        return ""
    return " ".join(Path(source).name.splitlines())


def shortened(text: str, n_characters: int) -> str:
    """Replace the middle of a text that is too long by an ellipsis.

    The beginning and the end of a file name are the most informative parts.
    """
    if len(text) <= n_characters:
        return text
    n_kept = max(n_characters - 1, 2)
    return f"{text[: (n_kept + 1) // 2]}…{text[-(n_kept // 2) :]}"


def drawable(text: str, weight: str = "normal") -> str:
    """Replace characters that are not in the default font, to avoid warnings."""
    from matplotlib.font_manager import FontProperties, findfont

    font = findfont(FontProperties(weight=weight))
    available = _characters_of_font(font) | {"\n"}
    return "".join(c if c in available else "\N{WHITE SQUARE}" for c in text)


@lru_cache(maxsize=4)
def _characters_of_font(path: str) -> frozenset[str]:
    from matplotlib.font_manager import get_font

    return frozenset(map(chr, get_font(path).get_charmap()))
