"""Tests of the controls of the gallery page: touch, keyboard and sorting.

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
    """Return embeddings of the images."""
    return np.random.default_rng(0).normal(size=(N_IMAGES, 4))


@pytest.fixture(scope="module")
def written(rows, tmp_path_factory):
    """Return the path of a page with every optional part."""
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
    """Return the page, open."""
    return open_page(written)


@pytest.fixture
def many(tmp_path_factory, open_page):
    """Return an open page of 5,000 images, scrolled far down."""
    picture = np.full((16, 16, 3), 128, dtype=np.uint8)
    folder = tmp_path_factory.mktemp("many")
    page = open_page(write_gallery(folder / "many.html", [picture] * 5000))
    page.run("window.scrollTo(0, 30000)")
    return page


def _neighbors(rows, i):
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return np.argsort(-unit @ unit[i])[1:6]


def _touch(page, kind, *points):
    """Dispatch a touch event with one finger at each point."""
    touches = [{"x": x, "y": y, "id": n} for n, (x, y) in enumerate(points)]
    page.driver.execute_cdp_cmd(
        "Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches}
    )


@pytest.fixture
def phone(page):
    """Return the page on an emulated phone, with the map visible."""
    touch = "Emulation.setTouchEmulationEnabled"
    page.driver.execute_cdp_cmd(touch, {"enabled": True, "maxTouchPoints": 5})
    page.resize(390, 844, is_phone=True)
    page.driver.refresh()
    page.click("[data-view=map]")
    yield page
    page.driver.execute_cdp_cmd(touch, {"enabled": False})


def test_neighbors_come_first_when_sorted_by_distance(page, rows):
    """Only the neighbors have a distance, so the status describes both parts."""
    Select(page.one("#sort")).select_by_value("distance")
    page.run("openImage(3)")

    neighbors = _neighbors(rows, 3)
    others = [i for i in range(N_IMAGES) if i != 3 and i not in neighbors]
    assert page.run("return state.shown") == [3, *neighbors, *others]
    assert page.one("#status").text == (
        "40 images, image 3 and its 5 neighbors first, the others in the given order"
    )


@pytest.mark.parametrize(
    ("opened", "cluster", "status"),
    [
        (3, 3, "image 3 and 2 of its 5 neighbors first, the others in the given"),
        (3, 2, "2 of the 5 neighbors of image 3 first, the others in the given"),
        (3, 1, "in the given order: no neighbor of image 3 is shown"),
        (8, 0, "image 8 first, the others in the given order"),
    ],
)
def test_the_status_describes_the_order_of_a_cluster(
    opened, cluster, status, page, rows
):
    """A cluster may lack the open image, some of its neighbors, or all of them."""
    Select(page.one("#sort")).select_by_value("distance")
    page.run(f"openImage({opened}); chooseCluster({cluster})")

    neighbors = [i for i in _neighbors(rows, opened) if i % 4 == cluster]
    first = [opened] * (opened % 4 == cluster) + neighbors
    others = [i for i in range(cluster, N_IMAGES, 4) if i not in first]
    assert page.run("return state.shown") == first + others
    assert page.one("#status").text.startswith(f"10 of 40 images, {status}")


@pytest.mark.parametrize("text", ["image 1", "4"])
def test_a_search_scrolls_to_its_first_match(text, many):
    """The page may have been scrolled down before."""
    many.one("#search").send_keys(text)

    assert many.run("return window.scrollY") == 0
    first = next(i for i in range(5000) if text in f"image {i}")
    assert many.names()[0] == f"image {first}"


def test_sorting_scrolls_to_the_first_image(many):
    """The page may have been scrolled down before."""
    Select(many.one("#sort")).select_by_value("name")

    assert many.run("return window.scrollY") == 0
    assert many.names()[0] == "image 0"


def test_the_status_mentions_a_cluster_only_if_one_is_chosen(page, many, written):
    """A page without labels has no clusters to choose from."""
    many.one("#search").send_keys("xyz")
    assert many.one("#status").text == "No image has a matching name."
    many.driver.get(written.as_uri())
    page.one("#search").send_keys("xyz")
    assert page.one("#status").text == "No image has a matching name."
    page.click(".group:last-child")
    assert page.one("#status").text == "No image in this cluster has a matching name."


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("text", ["été", "ÉTÉ", "e\u0301te\u0301"])
def test_the_search_finds_composed_and_decomposed_accents(
    form, text, tmp_path, open_page
):
    """File names on macOS have decomposed accents, typed text has composed ones."""
    name = unicodedata.normalize(form, "Été.jpg")
    page = open_page(
        write_gallery(tmp_path / "page.html", [name, "ete.jpg"], thumbnails="link")
    )

    page.run(
        "const search = document.getElementById('search');"
        "search.value = arguments[0]; search.dispatchEvent(new Event('input'))",
        text,
    )
    assert page.names() == [name]


@pytest.mark.parametrize(
    ("name", "text"), [("STRASSE.jpg", "straße"), ("ὈΔΟΣ.jpg", "ὀδος")]
)
def test_the_search_ignores_case(name, text, tmp_path, open_page):
    """Some letters have two lowercase forms, or two uppercase letters."""
    page = open_page(write_gallery(tmp_path / "page.html", [name], thumbnails="link"))

    page.one("#search").send_keys(text)
    assert page.names() == [name]


def test_controls_agree_with_the_page_after_going_back(page, written):
    """Browsers restore the values of controls, but not their effects."""
    Select(page.one("#sort")).select_by_value("group")
    page.one("#search").send_keys("image 1")
    page.driver.get("about:blank")
    page.driver.back()

    page.wait("return document.querySelectorAll('.card').length")
    assert page.run("return document.getElementById('sort').value") == "given"
    assert page.run("return document.getElementById('search').value") == ""
    assert page.run("return state.shown") == list(range(N_IMAGES))


def test_the_focus_moves_to_the_panel_and_back_to_a_result(page):
    """Neighbors of a result must be reachable with the keyboard."""
    page.click("[data-view=queries]")
    page.wait("return document.querySelectorAll('.query figure').length === 6")
    result = "document.querySelectorAll('.query')[2].querySelectorAll('button')[1]"
    page.run(f"{result}.focus()")

    page.press(Keys.ENTER)
    assert page.run(FOCUS) == "name"
    page.press(Keys.TAB, Keys.ENTER)
    assert page.run(IS_IN_PANEL)
    page.press(Keys.ESCAPE)
    assert page.run(f"return document.activeElement === {result}")


@pytest.mark.parametrize("view", ["map", "queries"])
def test_closing_never_loses_the_focus(view, page):
    """The button of the view gets the focus if nothing else had it before."""
    page.click(f"[data-view={view}]")
    page.run("document.activeElement.blur(); openFrom(3)")
    page.click("#close")

    assert page.run("return document.activeElement.dataset.view") == view


def test_closing_focuses_the_image_at_its_new_position(page):
    """The order by distance to an image ends when the image is closed."""
    Select(page.one("#sort")).select_by_value("distance")
    page.run("openImage(30); document.getElementById('name').focus()")

    page.press(Keys.ESCAPE)
    assert page.run("return document.activeElement.title").startswith("image 30,")


def test_clusters_can_be_skipped(page):
    """A keyboard user need not step through a long list of clusters."""
    page.press(Keys.TAB)
    assert page.run(FOCUS) == "skip"
    assert page.one("#skip").rect["height"] > 10
    page.press(Keys.ENTER)
    assert page.run(FOCUS) == "search"


def test_two_fingers_zoom_the_map(phone):
    """The midpoint of the fingers stays fixed, and one finger then pans the map."""
    box = phone.one("canvas").rect
    top = box["y"] - phone.run("return window.scrollY")
    x, y = box["x"] + box["width"] / 2, top + box["height"] / 2
    phone.run(
        "const clear = CanvasRenderingContext2D.prototype.clearRect;"
        "window.points = [];"
        "const translate = CanvasRenderingContext2D.prototype.translate;"
        "CanvasRenderingContext2D.prototype.clearRect = function (...box) {"
        "  window.points = []; clear.apply(this, box);"
        "};"
        "CanvasRenderingContext2D.prototype.translate = function (x, y) {"
        "  window.points.push([x, y]); translate.call(this, x, y);"
        "};"
        "map.resize()"
    )
    before = np.array(phone.run("return window.points"))
    assert phone.run(TOUCH_ACTION) == "pan-y"
    _touch(phone, "touchStart", (x - 20, y), (x + 20, y))
    for reach in (30, 40, 60):
        _touch(phone, "touchMove", (x - reach, y), (x + reach, y))
    _touch(phone, "touchEnd")

    after = np.array(phone.run("return window.points"))
    spread = (after.max(axis=0) - after.min(axis=0)) / (
        before.max(axis=0) - before.min(axis=0)
    )
    np.testing.assert_allclose(spread, 3, rtol=0.02)
    middle = np.array([x - box["x"], y - top])
    np.testing.assert_allclose(after - middle, 3 * (before - middle), atol=2)
    assert phone.run(TOUCH_ACTION) == "none"
    phone.click("[data-zoom='0']")
    assert phone.run(TOUCH_ACTION) == "pan-y"


def test_one_finger_on_the_whole_map_scrolls_the_page(phone):
    """A map that is not zoomed in cannot be panned."""
    phone.resize(390, 500, is_phone=True)
    x, y = 195, 450

    _touch(phone, "touchStart", (x, y))
    for n in range(1, 11):
        _touch(phone, "touchMove", (x, y - 20 * n))
    _touch(phone, "touchEnd")
    assert phone.wait("return window.scrollY") > 20
    assert phone.run("return !document.querySelector('#panel.open')")


@pytest.mark.parametrize(("width", "height"), [(390, 844), (844, 390), (1400, 900)])
def test_the_buttons_of_the_map_are_visible(width, height, page):
    """A phone may be held upright or sideways."""
    page.resize(width, height, is_phone=width < 1000)
    page.click("[data-view=map]")

    boxes = np.array(page.run(ZOOM))
    assert boxes.min() >= 0
    assert boxes[:, 2].max() <= width
    assert boxes[:, 3].max() <= height
    map_box = page.one("canvas").rect
    assert boxes[:, 1].min() >= map_box["y"]
    assert boxes[:, 3].max() <= map_box["y"] + map_box["height"]
