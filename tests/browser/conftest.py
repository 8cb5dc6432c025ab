"""A browser, and what it has to say of a page."""

import json
import shutil
from time import monotonic, sleep

import pytest

_OPTIONS = (
    "--headless=new",
    "--no-sandbox",  # which Chromium has none of for root
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--window-size=1400,900",
)


@pytest.fixture(scope="module")
def driver():
    """Return a headless Chromium, or skip."""
    webdriver = pytest.importorskip("selenium.webdriver")
    names = ("chromium", "chromium-browser", "google-chrome")
    binary = next(filter(None, map(shutil.which, names)), None)
    chromedriver = shutil.which("chromedriver")
    if not binary or not chromedriver:
        pytest.skip("Chromium or its driver is missing: `nox -s browser` says more")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for option in _OPTIONS:
        options.add_argument(option)
    options.set_capability(
        "goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"}
    )
    driver = webdriver.Chrome(
        options=options, service=webdriver.ChromeService(chromedriver)
    )
    yield driver
    driver.quit()


class Page:
    """An open page: what it shows and what it does, in the words of the tests."""

    def __init__(self, driver):
        self.driver = driver

    def all(self, selector):
        """Return what is there, as elements."""
        return self.driver.find_elements("css selector", selector)

    def one(self, selector):
        """Return the first of it."""
        return self.driver.find_element("css selector", selector)

    def click(self, selector):
        """Click the first of it."""
        self.one(selector).click()

    def press(self, *keys):
        """Press keys where the focus is."""
        self.driver.switch_to.active_element.send_keys(*keys)

    def run(self, script, *args):
        """Return what a script returns."""
        return self.driver.execute_script(script, *args)

    def texts(self, selector):
        """Return the whole texts of elements, shortened to the eye or not."""
        script = (
            "return [...document.querySelectorAll(arguments[0])]"
            ".map((part) => part.textContent)"
        )
        return self.run(script, selector)

    def names(self):
        """Return the names of the cards."""
        return self.texts(".card .name")

    def wait(self, script, seconds=5):
        """Wait until a script returns something true, and return it."""
        end = monotonic() + seconds
        while not (found := self.run(script)):
            assert monotonic() < end, f"waited in vain for: {script}"
            sleep(0.02)
        return found

    def complaints(self):
        """Return what the console holds."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self):
        """Return the addresses asked for since the last call."""
        messages = (
            json.loads(entry["message"])["message"]
            for entry in self.driver.get_log("performance")
        )
        return [
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        ]

    def resize(self, width, height, *, is_phone=False):
        """Show the page on a screen of this size."""
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {
                "width": width,
                "height": height,
                "deviceScaleFactor": 1,
                "mobile": is_phone,
            },
        )

    def prefer(self, scheme):
        """Set what the system prefers, "light" or "dark"."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.driver.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"features": [feature]}
        )


@pytest.fixture
def open_page(driver):
    """Return a function that opens a file in a wide, light window."""

    def open_page(path):
        page = Page(driver)
        page.resize(1400, 900)
        page.prefer("light")
        page.complaints(), page.requests()
        driver.get(path.as_uri())
        return page

    return open_page
