"""Texts of a figure: in fonts that have their characters, and shortened to fit."""

import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from imgsim.display._fonts import (
    character_width,
    default_families,
    default_family_of,
    installed_family_of,
)

if TYPE_CHECKING:
    from matplotlib.text import Text

_ELLIPSIS = "…"
_BYTE_ORDER_MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"  # cannot be saved as PDF
_JOINERS = ("\N{ZERO WIDTH JOINER}", "\N{ZERO WIDTH NON-JOINER}")


class _Unit(NamedTuple):
    """A character with its marks, which are never separated, and its width in ems."""

    text: str
    families: tuple[str, ...]
    width: float


class DrawnLine(NamedTuple):
    """A line of text in units that can be drawn. Create it with :meth:`of`."""

    units: tuple[_Unit, ...]
    weight: str

    @classmethod
    def of(cls, text: str, weight: str = "normal") -> Self:
        """Escape the characters that no font has.

        The weight is normal if the default fonts of another weight lack a character.
        """
        text = unicodedata.normalize("NFC", " ".join(text.split("\n")))
        text = text.replace(_BYTE_ORDER_MARK, "")
        if any(default_family_of(character, weight) is None for character in text):
            weight = "normal"
        return cls(tuple(_split(text, weight)), weight)

    @property
    def text(self) -> str:
        """The text as it is drawn."""
        return "".join(unit.text for unit in self.units)

    @property
    def width(self) -> float:
        """The width as a multiple of the font size."""
        return sum(unit.width for unit in self.units)

    def shortened(self, max_width: float) -> Self:
        """Replace the middle by an ellipsis if the text is too wide.

        The beginning and the end of a file name are the most informative parts.
        """
        if self.width <= max_width:
            return self
        (ellipsis,) = _split(_ELLIPSIS, self.weight)
        n_start, n_end = _count_kept(
            [unit.width for unit in self.units], max_width - ellipsis.width
        )
        start, end = self.units[:n_start], self.units[len(self.units) - n_end :]
        return self._replace(units=(*start, ellipsis, *end))


def source_name(source: Any) -> str:
    """Return the file name of a path, and an empty string for an image in memory."""
    if not isinstance(source, str | os.PathLike):
        return ""
    return " ".join(Path(source).name.splitlines())


def _count_kept(widths: Sequence[float], max_width: float) -> tuple[int, int]:
    """Return how many units at the start and at the end fit, at least the first."""
    counts, sides = [1, 0], [widths[0], 0.0]
    while sum(counts) < len(widths):
        side = int(sides[1] < sides[0])
        i = -1 - counts[1] if side else counts[0]
        if sum(sides) + widths[i] > max_width:
            break
        counts[side] += 1
        sides[side] += widths[i]
    return counts[0], counts[1]


def write(
    artist: "Text", text: str, *, name: str = "", max_width: float | None = None
) -> None:
    """Set the lines of a text. A name follows, shortened to a width in points.

    A dollar sign in a file name does not start a formula.
    """
    weight = str(artist.get_fontweight())
    lines = [DrawnLine.of(line, weight) for line in text.split("\n") if line]
    if name:
        line = DrawnLine.of(name, weight)
        limit = float("inf") if max_width is None else max_width
        lines.append(line.shortened(limit / float(artist.get_fontsize())))
    _set_lines(artist, lines)


def wrap(artist: "Text", text: str, max_width: float, max_lines: int) -> None:
    """Set a text that is divided into lines. The maximum width is in points."""
    weight, limit = (
        str(artist.get_fontweight()),
        max_width / float(artist.get_fontsize()),
    )
    lines: list[DrawnLine] = []
    for word in text.split():
        line = DrawnLine.of(f"{lines[-1].text} {word}" if lines else word, weight)
        if lines and line.width <= limit:
            lines[-1] = line
        else:
            lines += _cut(DrawnLine.of(word, weight), limit)
    if len(lines) > max_lines:
        last = DrawnLine.of(f"{lines[max_lines - 1].text} {_ELLIPSIS}", weight)
        lines = [*lines[: max_lines - 1], last.shortened(limit)]
    _set_lines(artist, lines)


def _set_lines(artist: "Text", lines: Sequence[DrawnLine]) -> None:
    families = [f for line in lines for unit in line.units for f in unit.families]
    artist.set_parse_math(False)
    artist.set_fontfamily([*dict.fromkeys((*default_families(), *families))])
    if any(line.weight == "normal" for line in lines):
        artist.set_fontweight("normal")
    artist.set_text("\n".join(line.text for line in lines))


def _cut(line: DrawnLine, max_width: float) -> list[DrawnLine]:
    """Cut a word that is too long for a line into pieces."""
    pieces: list[list[_Unit]] = [[]]
    for unit in line.units:
        if pieces[-1] and sum(u.width for u in (*pieces[-1], unit)) > max_width:
            pieces.append([])
        pieces[-1].append(unit)
    return [line._replace(units=tuple(piece)) for piece in pieces]


def _split(text: str, weight: str) -> list[_Unit]:
    """Divide a text into characters with their marks."""
    units: list[_Unit] = []
    for character in text:
        unit = _draw(character, weight)
        if units and _is_attached(character, units[-1].text):
            unit = _join(units.pop(), unit)
        units.append(unit)
    return units


def _draw(character: str, weight: str) -> _Unit:
    """Return a character with its font, or an escape sequence if no font has it."""
    family = default_family_of(character, weight) or installed_family_of(character)
    if family is not None:
        return _Unit(character, (family,), character_width(character, family, weight))
    if unicodedata.category(character) in ("Cf", "Mn"):  # invisible, or a mark
        return _Unit("", (), 0.0)
    escape = character.encode("unicode_escape").decode("ascii")
    return _Unit(escape, (), sum(_draw(c, weight).width for c in escape))


def _join(first: _Unit, second: _Unit) -> _Unit:
    families = *first.families, *second.families
    return _Unit(first.text + second.text, families, first.width + second.width)


def _is_attached(character: str, previous: str) -> bool:
    is_mark = unicodedata.category(character) in ("Mn", "Me", "Cf")
    return is_mark or previous.endswith(_JOINERS)
