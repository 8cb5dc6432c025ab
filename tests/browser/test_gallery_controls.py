"""Tests of how the page of pictures is steered: by fingers, keys and orders.

They need Chromium and are run by `nox -s browser`.
"""

import unicodedata

import numpy as np
import pytest

pytest.importorskip("selenium", reason="selenium is missing: run `nox -s browser`")

from selenium.webdriver import Keys
from selenium.webdriver.support.select import Select

from imgsim.display import write_gallery

N_IMAGES = 40
FOCUS = "return document.activeElement.id"
IS_IN_PANEL = "return document.getElementById('panel').contains(document.activeElement)"
TOUCH_ACTION = "return getComputedStyle(document.querySelector('canvas')).touchAction"
ZOOM = (
    "return [...document.querySelectorAll('#zoom button')]"
    ".map((part) => part.getBoundingClientRect())"
    ".map((box) => [box.left, box.top, box.right, box.bottom])"
)


@pytest.fixture(scope="module")
def rows():
    """Return rows of the images."""
    return np.random.default_rng(0).normal(size=(N_IMAGES, 4))


@pytest.fixture(scope="module")
def written(rows, tmp_path_factory):
    """Return a page with all it can have."""
    picture = np.full((16, 16, 3), 128, dtype=np.uint8)
    return write_gallery(
        tmp_path_factory.mktemp("page") / "page.html",
        [picture] * N_IMAGES,
        rows,
        labels=np.arange(N_IMAGES) % 4,
        positions=rows[:, :2],
        queries=rows[:6],
        query_images=[picture] * 6,
        n_neighbors=5,
    )


@pytest.fixture
def page(written, open_page):
    """Return that page, open."""
    return open_page(written)


@pytest.fixture
def many(tmp_path_factory, open_page):
    """Return a page of 5,000 pictures, scrolled far down."""
    picture = np.full((16, 16, 3), 128, dtype=np.uint8)
    folder = tmp_path_factory.mktemp("many")
    page = open_page(write_gallery(folder / "many.html", [picture] * 5000))
    page.run("window.scrollTo(0, 30000)")
    return page


def _neighbors(rows, i):
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return np.argsort(-unit @ unit[i])[1:6]


def _touch(page, kind, *points):
    """Put fingers at these points, move them there, or lift them."""
    touches = [{"x": x, "y": y, "id": n} for n, (x, y) in enumerate(points)]
    page.driver.execute_cdp_cmd(
        "Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches}
    )


@pytest.fixture
def phone(page):
    """Return the page on a phone that is touched, with the map shown."""
    touch = "Emulation.setTouchEmulationEnabled"
    page.driver.execute_cdp_cmd(touch, {"enabled": True, "maxTouchPoints": 5})
    page.resize(390, 844, is_phone=True)
    page.driver.refresh()
    page.click("[data-view=map]")
    yield page
    page.driver.execute_cdp_cmd(touch, {"enabled": False})


def test_by_distance_the_neighbours_come_first(page, rows):
    """The status claims no order of the others, whose distances nobody knows."""
    Select(page.one("#sort")).select_by_value("distance")
    page.run("openPicture(3)")

    near = _neighbors(rows, 3)
    others = [i for i in range(N_IMAGES) if i != 3 and i not in near]
    assert page.run("return state.shown") == [3, *near, *others]
    assert page.one("#status").text == (
        "40 images, image 3 and its 5 neighbours first, the others in the given order"
    )


@pytest.mark.parametrize(
    ("opened", "group", "told"),
    [
        (3, 3, "image 3 and 2 of its 5 neighbours first, the others in the given"),
        (3, 2, "2 of the 5 neighbours of image 3 first, the others in the given"),
        (3, 1, "in the given order: no neighbour of image 3 among them"),
        (8, 0, "image 8 first, the others in the given order"),
    ],
)
def test_the_order_is_told_of_a_group_too(opened, group, told, page, rows):
    """Which holds some of the neighbours, or none, and perhaps not the picture."""
    Select(page.one("#sort")).select_by_value("distance")
    page.run(f"openPicture({opened}); chooseGroup({group})")

    near = [i for i in _neighbors(rows, opened) if i % 4 == group]
    first = [opened] * (opened % 4 == group) + near
    others = [i for i in range(group, N_IMAGES, 4) if i not in first]
    assert page.run("return state.shown") == first + others
    assert page.one("#status").text.startswith(f"10 of 40 images, {told}")


@pytest.mark.parametrize("text", ["image 1", "4"])
def test_a_search_shows_its_first_match(text, many):
    """However far down the page was."""
    many.one("#search").send_keys(text)

    assert many.run("return window.scrollY") == 0
    first = next(i for i in range(5000) if text in f"image {i}")
    assert many.names()[0] == f"image {first}"


def test_an_order_shows_its_first_picture(many):
    """However far down the page was."""
    Select(many.one("#sort")).select_by_value("name")

    assert many.run("return window.scrollY") == 0
    assert many.names()[0] == "image 0"


def test_the_status_names_no_group_where_there_is_none(page, many, written):
    """Nor where none is chosen."""
    many.one("#search").send_keys("xyz")
    assert many.one("#status").text == "No picture has such a name."
    many.driver.get(written.as_uri())
    page.one("#search").send_keys("xyz")
    assert page.one("#status").text == "No picture has such a name."
    page.click(".group:last-child")
    assert page.one("#status").text == "No picture in this group has such a name."


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("wanted", ["été", "ÉTÉ", "e\u0301te\u0301"])
def test_accents_are_found_however_they_are_made(form, wanted, tmp_path, open_page):
    """A Mac takes letters and accents apart, a keyboard does not."""
    name = unicodedata.normalize(form, "Été.jpg")
    page = open_page(
        write_gallery(tmp_path / "page.html", [name, "ete.jpg"], thumbnails="link")
    )

    page.run(
        "const search = document.getElementById('search');"
        "search.value = arguments[0]; search.dispatchEvent(new Event('input'))",
        wanted,
    )
    assert page.names() == [name]


@pytest.mark.parametrize(
    ("name", "wanted"), [("STRASSE.jpg", "straße"), ("ὈΔΟΣ.jpg", "ὀδος")]
)
def test_case_is_folded(name, wanted, tmp_path, open_page):
    """Also of letters that have two small forms, or become two."""
    page = open_page(write_gallery(tmp_path / "page.html", [name], thumbnails="link"))

    page.one("#search").send_keys(wanted)
    assert page.names() == [name]


def test_the_order_is_as_the_controls_say_after_coming_back(page, written):
    """A browser restores what was chosen, but not what followed from it."""
    Select(page.one("#sort")).select_by_value("group")
    page.one("#search").send_keys("image 1")
    page.driver.get("about:blank")
    page.driver.back()

    page.wait("return document.querySelectorAll('.card').length")
    assert page.run("return document.getElementById('sort').value") == "given"
    assert page.run("return document.getElementById('search').value") == ""
    assert page.run("return state.shown") == list(range(N_IMAGES))


def test_the_keyboard_goes_to_the_neighbours_of_an_answer(page):
    """And back to the answer when the panel is closed."""
    page.click("[data-view=queries]")
    page.wait("return document.querySelectorAll('.query figure').length === 6")
    answer = "document.querySelectorAll('.query')[2].querySelectorAll('button')[1]"
    page.run(f"{answer}.focus()")

    page.press(Keys.ENTER)
    assert page.run(FOCUS) == "name"
    page.press(Keys.TAB, Keys.ENTER)
    assert page.run(IS_IN_PANEL)
    page.press(Keys.ESCAPE)
    assert page.run(f"return document.activeElement === {answer}")


@pytest.mark.parametrize("view", ["map", "queries"])
def test_closing_never_loses_the_focus(view, page):
    """Where it came from nowhere, the view is left to go on from."""
    page.click(f"[data-view={view}]")
    page.run("document.activeElement.blur(); openFrom(3)")
    page.click("#close")

    assert page.run("return document.activeElement.dataset.view") == view


def test_closing_finds_the_picture_in_its_new_place(page):
    """The order by distance from a picture ends when it is closed."""
    Select(page.one("#sort")).select_by_value("distance")
    page.run("openPicture(30); document.getElementById('name').focus()")

    page.press(Keys.ESCAPE)
    assert page.run("return document.activeElement.title").startswith("image 30,")


def test_groups_can_be_skipped(page):
    """By one key, of however many there are."""
    page.press(Keys.TAB)
    assert page.run(FOCUS) == "skip"
    assert page.one("#skip").rect["height"] > 10
    page.press(Keys.ENTER)
    assert page.run(FOCUS) == "search"


def test_two_fingers_enlarge_the_map(phone):
    """Around the point between them; one finger then moves it, and no page."""
    box = phone.one("canvas").rect
    top = box["y"] - phone.run("return window.scrollY")
    x, y = box["x"] + box["width"] / 2, top + box["height"] / 2
    phone.run(
        "const clear = CanvasRenderingContext2D.prototype.clearRect;"
        "window.places = [];"
        "const translate = CanvasRenderingContext2D.prototype.translate;"
        "CanvasRenderingContext2D.prototype.clearRect = function (...box) {"
        "  window.places = []; clear.apply(this, box);"
        "};"
        "CanvasRenderingContext2D.prototype.translate = function (x, y) {"
        "  window.places.push([x, y]); translate.call(this, x, y);"
        "};"
        "map.resize()"
    )
    before = np.array(phone.run("return window.places"))
    assert phone.run(TOUCH_ACTION) == "pan-y"
    _touch(phone, "touchStart", (x - 20, y), (x + 20, y))
    for reach in (30, 40, 60):
        _touch(phone, "touchMove", (x - reach, y), (x + reach, y))
    _touch(phone, "touchEnd")

    after = np.array(phone.run("return window.places"))
    spread = (after.max(axis=0) - after.min(axis=0)) / (
        before.max(axis=0) - before.min(axis=0)
    )
    np.testing.assert_allclose(spread, 3, rtol=0.02)
    middle = np.array([x - box["x"], y - top])
    np.testing.assert_allclose(after - middle, 3 * (before - middle), atol=2)
    assert phone.run(TOUCH_ACTION) == "none"
    phone.click("[data-zoom='0']")
    assert phone.run(TOUCH_ACTION) == "pan-y"


def test_a_finger_on_the_map_scrolls_the_page(phone):
    """As long as the map is whole, there is nothing else to move."""
    phone.resize(390, 500, is_phone=True)
    x, y = 195, 450

    _touch(phone, "touchStart", (x, y))
    for n in range(1, 11):
        _touch(phone, "touchMove", (x, y - 20 * n))
    _touch(phone, "touchEnd")
    assert phone.wait("return window.scrollY") > 20
    assert phone.run("return !document.querySelector('#panel.open')")


@pytest.mark.parametrize(("width", "height"), [(390, 844), (844, 390), (1400, 900)])
def test_the_buttons_of_the_map_are_within_view(width, height, page):
    """However the phone is held."""
    page.resize(width, height, is_phone=width < 1000)
    page.click("[data-view=map]")

    boxes = np.array(page.run(ZOOM))
    assert boxes.min() >= 0
    assert boxes[:, 2].max() <= width
    assert boxes[:, 3].max() <= height
    map_box = page.one("canvas").rect
    assert boxes[:, 1].min() >= map_box["y"]
    assert boxes[:, 3].max() <= map_box["y"] + map_box["height"]
