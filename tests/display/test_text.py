"""Tests of texts in figures: their characters, their widths and their fonts."""

import io
import unicodedata
import warnings

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest
from matplotlib import font_manager

from imgsim.display import _fonts
from imgsim.display._text import DrawnLine, wrap, write

NAMES = [
    "IMG_20230415_123456_holiday_0815.jpg",
    "\u4f11\u65e5\u306e\u5199\u771f.jpg",  # Chinese and Japanese
    "\u0635\u0648\u0631\u0629 0815.jpg",  # Arabic
    "\u05ea\u05de\u05d5\u05e0\u05d4.jpg",  # Hebrew
    "\u0e20\u0e32\u0e1e \u092b\u094b\u091f\u094b.jpg",  # Thai and Hindi
    "\U0001f981\U0001f3fd \U0001f469\u200d\U0001f467 \u2764\ufe0f.jpg",  # emoji
    "e\u0301te\u0301 $x_1$ \t \udce9 \ue000.jpg",
]
PRIVATE = "\ue123"  # no font has this character


@pytest.fixture
def artist():
    """Return an empty text of 10 points on a large figure."""
    figure = plt.figure(figsize=(10, 4), dpi=72)
    yield figure.text(0.1, 0.5, "", size=10)
    plt.close(figure)


def _width(artist):
    return artist.get_window_extent().width


@pytest.mark.parametrize("weight", ["normal", "bold"])
@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_every_name_is_drawn_without_warnings(name, weight, artist, caplog):
    """Characters come from any installed font, and are escaped if no font has them."""
    artist.set_fontweight(weight)
    write(artist, name)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        artist.figure.canvas.draw()

    assert artist.get_text().endswith(".jpg")
    assert not caplog.records


@pytest.mark.parametrize("name", NAMES, ids=ascii)
@pytest.mark.parametrize("points", [200, 90, 75])
def test_names_are_shortened_to_their_drawn_width(name, points, artist):
    """The width is used, and the renderer is the reference."""
    write(artist, "", name=name, max_width=points)

    assert _width(artist) <= 1.06 * points
    if "\N{HORIZONTAL ELLIPSIS}" in artist.get_text():
        assert _width(artist) > 0.4 * points


def test_the_middle_is_left_out():
    """The beginning and the end tell which image it is."""
    line = DrawnLine.of("IMG_20230415_123456_0815.jpg")

    assert line.shortened(10).text == "IMG_202…0815.jpg"
    assert line.shortened(99).text == line.text
    assert line.shortened(0).text == "I…"


def test_wide_and_narrow_letters_are_measured():
    """Counting characters would cut narrow names that fit, or let wide ones overlap."""
    narrow, wide = (DrawnLine.of(letter * 40).shortened(10) for letter in "iW")

    assert len(narrow.text) > 2.5 * len(wide.text)
    assert min(wide.width, narrow.width) > 8.5
    assert max(wide.width, narrow.width) <= 10


def test_letters_are_not_separated_from_their_accents():
    """File names on macOS are decomposed."""
    name = unicodedata.normalize("NFD", "\u00e9" * 30) + "q\u0301" * 5

    for points in range(3, 18):
        text = DrawnLine.of(name).shortened(points).text
        first, second = text.split("…")
        assert set(first) == {"\u00e9"}
        assert not unicodedata.combining(second[0])


def test_a_character_that_no_font_has_is_escaped(artist):
    """The code point distinguishes names, which boxes would not."""
    write(artist, f"a{PRIVATE}\udcff\x07.jpg")

    assert artist.get_text() == r"a\ue123\udcff\x07.jpg"


@pytest.mark.parametrize("format", ["pdf", "svg", "ps"])
def test_every_name_can_be_saved(format, artist):
    """Some formats cannot be written with a byte order mark in a text."""
    for name in (*NAMES, "\ufeffa.jpg"):
        write(artist, name)
        artist.figure.savefig(io.BytesIO(), format=format)

    assert artist.get_text() == "a.jpg"


def test_invisible_characters_are_dropped_if_no_font_has_them(monkeypatch):
    """A mark of the writing direction is not worth an escape sequence."""
    monkeypatch.setattr(_fonts, "_has", lambda path, character: character.isascii())
    for cache in (_fonts._find_family, _fonts._find_default_family):
        cache.cache_clear()

    assert DrawnLine.of("a\u200eb\u0301\ufe0f\u00e9.jpg").text == r"ab\xe9.jpg"
    for cache in (_fonts._find_family, _fonts._find_default_family):
        cache.cache_clear()


def test_fonts_of_the_style_come_first(artist):
    """Another font draws only what they lack, also after a change of the style."""
    with mpl.rc_context({"font.family": ["cmr10", "STIXGeneral"]}):
        write(artist, "a\u2135\u0436")  # Alef symbol, in STIX, and a Cyrillic letter
        families = artist.get_fontfamily()
        artist.figure.canvas.draw()

    assert families[:2] == ["cmr10", "STIXGeneral"]
    write(artist, "a")
    assert artist.get_fontfamily() == list(mpl.rcParams["font.family"])


def test_a_font_added_later_is_used(artist, tmp_path):
    """Users add fonts when they see that characters are missing."""
    write(artist, PRIVATE)
    assert artist.get_text() == r"\ue123"
    font = _private_font(tmp_path / "private.ttf")
    known = list(font_manager.fontManager.ttflist)

    font_manager.fontManager.addfont(font)
    try:
        write(artist, PRIVATE)
        assert artist.get_text() == PRIVATE
        assert artist.get_fontfamily()[-1] == "Private Sans"
        artist.figure.canvas.draw()
    finally:
        font_manager.fontManager.ttflist[:] = known


def _private_font(path):
    """Write a copy of the default font, whose letter A is a private character."""
    tools = pytest.importorskip("fontTools.ttLib", reason="fontTools is missing")
    font = tools.TTFont(font_manager.findfont("DejaVu Sans"))
    for table in font["cmap"].tables:
        table.cmap = {ord(PRIVATE): "A"} if table.isUnicode() else {}
    for record in font["name"].names:
        if record.nameID in (1, 4, 6, 16):
            record.string = "Private Sans"
    font.save(path)
    return path


def test_wrapped_text_stays_in_its_box(artist):
    """Long words are cut into pieces, and the last line says that text is missing."""
    wrap(artist, "a word and_a_very_long_word_without_spaces no such file", 80, 4)

    assert _width(artist) <= 1.06 * 80
    lines = artist.get_text().split("\n")
    assert len(lines) <= 4
    wrap(artist, " ".join(["word"] * 90), 80, 3)
    assert artist.get_text().count("\n") == 2
    assert artist.get_text().endswith("…")
