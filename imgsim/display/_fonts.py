"""Fonts that have the characters of a text, and the widths of characters in them."""

import re
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

# Searched first, because they are legible and cover many characters.
_PREFERRED = (
    "DejaVu Sans",
    "Noto Sans",
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Noto Sans SC",
    "Noto Sans JP",
    "Microsoft YaHei",
    "Yu Gothic",
    "Malgun Gothic",
    "PingFang SC",
    "Hiragino Sans",
    "Apple SD Gothic Neo",
    "Arial Unicode MS",
    "Segoe UI",
    "Segoe UI Symbol",
    "Noto Sans Symbols",
    "Noto Emoji",
)
# These draw a box, nothing, a bitmap or another symbol in the place of a character.
_UNSUITABLE = re.compile(
    r"cm[a-z]+10|STIXNonUnicode|STIXSize.*|Symbol|(Web|Wing)dings.*|Last ?Resort.*"
    r"|.*(Blank|NotDef|Color Emoji).*",
    re.IGNORECASE,
)
_NORMAL = 400
_UNITS_PER_EM = 100


def default_families() -> tuple[str, ...]:
    """Return the font families of the current style."""
    from matplotlib import rcParams

    return tuple(rcParams["font.family"])


def default_family_of(character: str, weight: str) -> str | None:
    """Return the first default family whose font of a weight has a character."""
    return _find_default_family(character, weight, _current_fonts())


def installed_family_of(character: str) -> str | None:
    """Return an installed family whose regular font has a character, or None."""
    return _find_family(character, _current_fonts().n_installed)


def character_width(character: str, family: str, weight: str) -> float:
    """Return the width of a character as a fraction of the font size."""
    return _find_width(character, family, weight, _current_fonts())


class _Fonts(NamedTuple):
    """What fonts are found depends on: a key of caches, because it can change."""

    families: tuple[str, ...]
    generic: tuple[tuple[str, ...], ...]
    n_installed: int


def _current_fonts() -> _Fonts:
    from matplotlib import rcParams
    from matplotlib.font_manager import fontManager

    settings: Any = rcParams
    families = default_families()
    generic = (tuple(settings.get(f"font.{family}", ())) for family in families)
    return _Fonts(families, tuple(generic), len(fontManager.ttflist))


@lru_cache(maxsize=4096)
def _find_default_family(character: str, weight: str, fonts: _Fonts) -> str | None:
    families = fonts.families
    return next((f for f in families if _has(_path(f, weight), character)), None)


@lru_cache(maxsize=4096)
def _find_width(character: str, family: str, weight: str, fonts: _Fonts) -> float:
    from matplotlib.font_manager import get_font

    font = get_font(_path(family, weight))
    font.set_size(_UNITS_PER_EM, 72)
    advance = font.load_char(ord(character)).linearHoriAdvance
    return float(advance) / 2**16 / _UNITS_PER_EM


@lru_cache(maxsize=4096)
def _find_family(character: str, n_fonts: int) -> str | None:
    families = _suitable_families(n_fonts).items()
    return next((family for family, path in families if _has(path, character)), None)


@lru_cache(maxsize=1)
def _suitable_families(n_fonts: int) -> dict[str, Any]:
    """Return the most regular font of each family, preferred families first."""
    from matplotlib.font_manager import fontManager, weight_dict

    files: dict[str, tuple[int, Any]] = {}
    for font in fontManager.ttflist:
        weight: Any = font.weight
        distance = abs(int(weight_dict.get(weight, weight)) - _NORMAL) + 1000 * (
            font.style != "normal"
        )
        if distance < files.get(font.name, (np.inf, ""))[0]:
            files[font.name] = distance, font.fname
    names = [name for name in files if not _UNSUITABLE.fullmatch(name)]
    preferred = {family: i for i, family in enumerate(_PREFERRED)}
    names.sort(
        key=lambda name: (
            preferred.get(name, len(_PREFERRED)),
            files[name][0] > 0,
            "Sans" not in name,
            name,
        )
    )
    return {name: files[name][1] for name in names}


def _path(family: str, weight: str) -> Any:
    from matplotlib.font_manager import FontProperties, findfont

    return findfont(FontProperties(family=family, weight=weight))


def _has(path: Any, character: str) -> bool:
    codes = _codes_of(path)
    i = int(np.searchsorted(codes, ord(character)))
    return i < len(codes) and int(codes[i]) == ord(character)


@lru_cache(maxsize=4096)
def _codes_of(path: Any) -> NDArray[np.uint32]:
    """Return the sorted code points of a font; none if it cannot be opened."""
    from matplotlib.font_manager import get_font

    try:
        codes = get_font(path).get_charmap()
    except (OSError, RuntimeError):  # another font is used instead
        return np.empty(0, dtype=np.uint32)
    return np.sort(np.fromiter(codes, dtype=np.uint32, count=len(codes)))
