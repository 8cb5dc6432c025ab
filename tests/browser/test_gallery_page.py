"""Tests of the gallery page in a browser: it works, and makes no requests.

They need Chromium and are run by `nox -s browser`.
"""

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("selenium", reason="selenium is missing: run `nox -s browser`")

from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.support.select import Select

from imgsim import ColorHistogramEmbedder, read_image
from imgsim.datasets import load_sample_photos
from imgsim.display import write_gallery

EVIL = "<img src=x onerror=alert(1)>.jpg"
EVIL_LABEL = "</script><script>alert(2)</script>"
IS_LOADED = "return [...document.images].every((i) => i.complete && i.naturalWidth)"


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    """Return paths of 24 photographs, one with HTML in its name, and embeddings."""
    folder = tmp_path_factory.mktemp("photos")
    photos = load_sample_photos(n_crops=4, n_copies=2)
    paths = [folder / f"photo {i:02}.png" for i in range(24)]
    paths[5] = folder / EVIL
    for path, image in zip(paths, photos.images, strict=True):
        Image.fromarray(image).save(path, "png")
    return paths, ColorHistogramEmbedder().fit_transform(photos.images), photos.target


@pytest.fixture(scope="module")
def written(collection, tmp_path_factory):
    """Return a page with every optional part. The last of its 25 images is broken."""
    paths, X, target = collection
    folder = tmp_path_factory.mktemp("page")
    (folder / "broken.jpg").write_bytes(b"no image")
    X = np.vstack([X, X[:1] * np.nan])
    labels = [EVIL_LABEL if kind == 1 else f"kind {kind}" for kind in target]
    return write_gallery(
        folder / "page.html",
        [*paths, folder / "broken.jpg"],
        X,
        labels=[*labels, "kind 0"],
        positions=np.random.default_rng(0).normal(size=(25, 2)),
        queries=[X[0], -X[0], X[24]],
        query_images=[paths[0], paths[1], folder / "broken.jpg"],
        n_neighbors=5,
        max_distance=0.9,
        title="Photos",
    )


@pytest.fixture
def page(written, open_page):
    """Return the page, open."""
    return open_page(written)


def test_it_loads_without_errors_and_requests(page, written):
    """The page shows all images and requests nothing but itself."""
    page.wait(IS_LOADED)

    assert page.console_messages() == []
    assert len(page.names()) == 25
    requests = [url for url in page.requests() if not url.startswith("data:")]
    assert requests == [written.as_uri()]
    summary = page.texts("#summary")[0].replace("\N{NO-BREAK SPACE}", " ")
    assert summary == "25 images · 8 clusters · 3 queries"


def test_using_it_makes_no_requests(page, written):
    """No view and no image needs anything from outside the page."""
    page.click(".card button")
    for view in ("map", "queries", "pictures"):
        page.click(f"[data-view={view}]")
    page.wait(IS_LOADED)

    requests = {url for url in page.requests() if not url.startswith("data:")}
    assert requests == {written.as_uri()}
    assert page.console_messages() == []


def test_the_policy_forbids_requests(page):
    """Even a script that ran in the page could not send data."""
    script = (
        "const image = new Image();"
        "image.onerror = () => (window.isRefused = true);"
        "image.src = 'https://example.invalid/x.png'"
    )
    page.run(script)

    page.wait("return window.isRefused")
    assert any("Content Security Policy" in text for text in page.console_messages())


def test_names_and_labels_are_text(page):
    """HTML in a file name must not become an element."""
    assert EVIL in page.names()
    assert EVIL_LABEL in page.texts("#groups bdi")
    assert page.all("main img[src=x]") == []
    page.run("document.querySelectorAll('.card button')[5].click()")
    assert page.texts("#name") == [EVIL]
    assert page.texts("#group") == [EVIL_LABEL]
    assert (
        page.console_messages() == []
    )  # selenium would have raised an error for an alert


def test_the_search_filters_by_name(page):
    """The grid and the status are updated at once, and case is ignored."""
    page.one("#search").send_keys("PHOTO 1")

    assert page.names() == [f"photo {i}.png" for i in range(10, 20)]
    assert page.one("#status").text.startswith("10 of 25 images")
    page.one("#search").send_keys("xyz")
    assert page.names() == []
    assert page.one("#status").text.startswith("No image")


def test_a_cluster_is_chosen_and_left(page):
    """The size of a cluster is beside its name."""
    assert page.texts("#groups .size") == ["25", "3", "4", *["3"] * 6]
    page.run("document.querySelectorAll('.group')[3].click()")
    assert page.names() == [f"photo {i:02}.png" for i in (6, 7, 8)]
    assert page.one(".group[aria-pressed=true]").text.startswith("kind 2")
    page.click(".group")
    assert len(page.names()) == 25


def test_images_are_sorted(page):
    """Orders are by name, by cluster, by distance to the open image, and as given."""
    sort = Select(page.one("#sort"))

    sort.select_by_value("name")
    assert page.names()[:3] == [EVIL, "broken.jpg", "photo 00.png"]
    sort.select_by_value("group")
    assert page.names()[0] == "photo 03.png"
    page.run("document.querySelectorAll('.card button')[9].click()")
    name = page.texts("#name")[0]
    neighbors = page.run(
        "return [...document.querySelectorAll('#neighbors button')].map((b) => b.title)"
    )
    sort.select_by_value("distance")
    assert page.names()[: 1 + len(neighbors)] == [name, *neighbors]
    sort.select_by_value("given")
    assert page.names()[0] == "photo 00.png"


def test_typical_images_come_first_if_no_image_is_open(page, collection):
    """They are the nearest to the mean of their cluster."""
    _, X, target = collection
    Select(page.one("#sort")).select_by_value("distance")

    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    means = np.stack([unit[target == k].mean(0) for k in range(8)])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    distances = 1 - (unit * means[target]).sum(axis=1)
    expected = [f"photo {i:02}.png" if i != 5 else EVIL for i in np.argsort(distances)]
    names = page.names()
    assert names[-1] == "broken.jpg"
    ranks = [expected.index(name) for name in names[:-1]]
    assert np.abs(np.diff(np.sort(distances)[ranks])).min() >= 0
    assert (np.diff(np.sort(distances)[ranks]) > -1e-5).all()


def test_neighbors_can_be_opened_in_turn(page, collection):
    """Back returns to the image before, and neighbors are sorted by distance."""
    _, X, _ = collection
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    nearest = np.argsort(-unit @ unit[0])[1]

    page.click(".card button")
    assert page.texts("#name") == ["photo 00.png"]
    assert page.texts("#near") == ["Neighbors"]
    assert not page.one("#back").is_enabled()
    page.click("#neighbors button")
    assert page.texts("#name") == [f"photo {nearest:02}.png"]
    page.click("#back")
    assert page.texts("#name") == ["photo 00.png"]
    page.click("#close")
    assert not page.one("#panel").is_displayed()


def test_a_broken_image_is_shown_as_unreadable(page):
    """Its card shows the reason, and it was not searched for neighbors."""
    page.run("document.querySelectorAll('.card button')[24].click()")

    assert page.texts(".card .reason")[0].startswith("unreadable: ")
    assert page.texts("#near") == ["Not searched"]


def test_it_works_with_the_keyboard(page):
    """The keys are arrows, Enter, Backspace, Escape, End and the slash."""
    page.press(Keys.ARROW_RIGHT)
    page.press(Keys.ARROW_RIGHT)
    page.press(Keys.ARROW_RIGHT)
    focused = "return document.activeElement.textContent"
    assert page.run(focused) == "photo 02.png"
    columns = page.run("return grid.columns")
    page.press(Keys.ARROW_DOWN)
    assert page.run("return state.current") == 2 + columns
    page.press(Keys.ARROW_UP, Keys.ENTER)
    assert page.texts("#name") == ["photo 02.png"]
    page.click("#neighbors button")
    page.press(Keys.BACKSPACE)
    assert page.texts("#name") == ["photo 02.png"]
    page.press(Keys.ESCAPE)
    assert not page.one("#chosen").is_displayed()
    assert page.run(focused) == "photo 02.png"
    page.press(Keys.END)
    assert page.run(focused).endswith("broken.jpg")
    page.press("/")
    page.press("photo 03")
    assert page.names() == ["photo 03.png"]


def test_the_question_mark_shows_the_shortcuts(page):
    """Escape hides them again."""
    page.press("?")

    assert page.one("#help").is_displayed()
    page.press(Keys.ESCAPE)
    assert not page.one("#help").is_displayed()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_light_or_dark(scheme, page):
    """The system decides until the button is used."""
    page.prefer(scheme)
    brightness = (
        "return getComputedStyle(document.body).backgroundColor"
        ".match(/\\d+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0) / 765"
    )

    assert (page.run(brightness) > 0.5) == (scheme == "light")
    page.click("#theme")
    assert (page.run(brightness) > 0.5) == (scheme == "dark")


def test_points_of_the_map_open_images(page):
    """Hovering shows the image of a point, and a click opens it."""
    page.click("[data-view=map]")
    x, y = page.run(
        "const box = document.querySelector('canvas').getBoundingClientRect();"
        "for (let y = box.top; y < box.bottom; y += 6)"
        " for (let x = box.left; x < box.right; x += 6) {"
        "  const options = {clientX: x, clientY: y, pointerType: 'mouse'};"
        "  document.querySelector('canvas').dispatchEvent("
        "   new PointerEvent('pointermove', options));"
        "  if (!document.getElementById('tip').hidden) return [x, y];"
        " }"
    )
    pointer = ActionChains(page.driver)
    pointer.move_by_offset(int(x) + 2, int(y) + 2).perform()
    name = page.texts("#tip bdi")[0]
    page.wait(IS_LOADED)
    pointer.click().perform()
    assert page.texts("#name") == [name]
    pointer.reset_actions()
    assert page.console_messages() == []


def test_queries_show_their_results(page):
    """An empty result and an unreadable query are shown as such."""
    page.click("[data-view=queries]")
    page.wait("return document.querySelectorAll('.query figure').length === 3")

    assert page.texts(".query figcaption") == [
        "photo 00.png",
        "photo 01.png",
        "broken.jpg",
    ]
    assert page.texts(".query > p") == ["no similar images", "not searched"]
    page.click(".query li button")
    assert page.texts("#name") == ["photo 00.png"]


def test_it_fits_on_a_phone(page):
    """Nothing is wider than the screen, and buttons are large enough for fingers."""
    page.resize(390, 844, is_phone=True)
    page.driver.refresh()

    width = "return document.documentElement.scrollWidth"
    for view in ("pictures", "map", "queries"):
        page.click(f"[data-view={view}]")
        assert page.run(width) == 390
    page.click("[data-view=pictures]")
    page.click(".card button")
    assert page.run(width) == 390
    sides = page.run(
        "return [...document.querySelectorAll('button, select, input')]"
        ".map((part) => part.getBoundingClientRect())"
        ".filter((box) => box.width).map((box) => Math.min(box.width, box.height))"
    )
    assert min(sides) >= 40
    assert page.one("#panel").rect["y"] > 200
    page.click("#close")
    assert not page.one("#panel").is_displayed()


def test_links_show_the_original_files(collection, open_page):
    """Nothing outside their folder is requested."""
    paths, _, _ = collection
    folder = paths[0].parent
    page = open_page(
        write_gallery(
            folder / "links.html",
            [*paths, folder / "missing.png"],
            thumbnails="link",
        )
    )

    page.wait("return document.querySelectorAll('.card .reason').length === 1")
    page.wait(IS_LOADED)
    widths = page.run("return [...document.images].map((i) => i.naturalWidth)")
    assert widths == [read_image(path).shape[1] for path in paths]
    requests = [url for url in page.requests() if not url.startswith("data:")]
    assert all(url.startswith(folder.as_uri()) for url in requests)


def test_only_images_near_the_window_are_in_the_document(tmp_path, open_page):
    """A large page opens at once, and scrolling replaces the images."""
    picture = np.full((16, 16, 3), 128, dtype=np.uint8)
    page = open_page(write_gallery(tmp_path / "many.html", [picture] * 5000))

    page.wait(IS_LOADED)
    assert 20 < len(page.names()) < 120
    page.press(Keys.ARROW_DOWN)
    page.run("window.scrollTo(0, document.documentElement.scrollHeight)")
    page.wait("return document.body.textContent.includes('image 4999')")
    page.wait(IS_LOADED)
    assert 20 < len(page.names()) < 120
    assert page.run("return document.images.length") < 120
    page.press(Keys.ARROW_DOWN)
    assert page.run("return state.current") > 4900  # and not back at the top


@pytest.mark.parametrize("n_images", [1, 2])
def test_a_page_may_have_few_images_and_nothing_else(
    n_images, pictures, tmp_path, open_page
):
    """There are no controls for clusters, neighbors or a map then."""
    page = open_page(write_gallery(tmp_path / "few.html", pictures[:n_images]))

    page.wait(IS_LOADED)
    assert len(page.names()) == n_images
    assert not page.one("#groups").is_displayed()
    assert not page.one("#views").is_displayed()
    assert page.texts("#sort option:not([hidden])") == ["given order", "name"]
    page.click(".card button")
    assert not page.one("#near").is_displayed()
    assert page.console_messages() == []


@pytest.fixture
def nested(tmp_path_factory, open_page):
    """Return an open page of 60 images in nested folders."""
    folder = tmp_path_factory.mktemp("nested")
    names = ["a/b/c", "a/b", "a", "ab", "z"]
    paths = []
    for i in range(60):
        path = folder / names[i % 5] / f"{i:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((16, 16, 3), 4 * i, np.uint8)).save(path)
        paths.append(path)
    labels = np.arange(60) % 2
    return open_page(write_gallery(folder / "page.html", paths, labels=labels))


def test_the_panel_opens_with_the_first_click(nested):
    """Before, the images fill the window. The clicked image stays where it is."""
    assert not nested.one("#panel").is_displayed()
    before = nested.run("return list.clientWidth")
    nested.resize(1400, 500)
    nested.run("window.scrollTo(0, 300)")
    card = "document.querySelectorAll('.card')[20]"
    name = nested.run(f"return {card}.querySelector('.name').textContent")
    top = nested.run(f"return {card}.getBoundingClientRect().top")

    nested.run(f"{card}.querySelector('button').click()")

    assert nested.one("#panel").is_displayed()
    assert nested.texts("#name") == [name]
    assert nested.run("return list.clientWidth") < before
    opened = nested.run(
        "return document.querySelector('.opened').getBoundingClientRect().top"
    )
    assert abs(opened - top) < 2
    nested.click("#close")
    assert nested.run("return list.clientWidth") == before


def test_images_are_filtered_by_folder_and_show_their_path(nested):
    """A folder contains its subfolders, but not a folder whose name starts alike."""
    select = Select(nested.one("#folder"))
    assert [option.text for option in select.options] == [
        "All folders",
        "a (36)",
        "a/b (24)",
        "a/b/c (12)",
        "ab (12)",
        "z (12)",
    ]

    select.select_by_value("a/b")
    names = [f"{i:02}.png" for i in range(60) if i % 5 < 2]
    assert nested.run("return state.shown.map((i) => data.names[i])") == names
    nested.click(".card button")
    assert nested.texts("#path") == ["a/b/c/00.png"]
    nested.click(".group:last-child")
    assert nested.one("#status").text == "12 of 60 images"
    nested.one("#search").send_keys("xyz")
    message = "No image in this cluster and folder has a matching name."
    assert nested.one("#status").text == message
    assert nested.console_messages() == []


def test_a_single_folder_has_no_filter_and_no_path(collection, tmp_path, open_page):
    """The file name says everything then."""
    paths, _, _ = collection
    page = open_page(write_gallery(tmp_path / "page.html", paths))

    page.click(".card button")
    assert not page.one("#folder").is_displayed()
    assert not page.one("#path").is_displayed()
