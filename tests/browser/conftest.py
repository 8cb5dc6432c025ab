"""A headless browser, and an open page for the tests."""

import json
import shutil
from time import monotonic, sleep

import pytest

_OPTIONS = (
    "--headless=new",
    "--no-sandbox",  # which Chromium does not support for root
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
        pytest.skip("Chromium or its driver is missing: run `nox -s browser`")
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
    """An open page, with the queries and actions that the tests use."""

    def __init__(self, driver):
        self.driver = driver

    def all(self, selector):
        """Return the elements that match a selector."""
        return self.driver.find_elements("css selector", selector)

    def one(self, selector):
        """Return the first element that matches a selector."""
        return self.driver.find_element("css selector", selector)

    def click(self, selector):
        """Click the first element that matches a selector."""
        self.one(selector).click()

    def press(self, *keys):
        """Send keys to the focused element."""
        self.driver.switch_to.active_element.send_keys(*keys)

    def run(self, script, *args):
        """Run a script and return its result."""
        return self.driver.execute_script(script, *args)

    def texts(self, selector):
        """Return the texts of elements, including what the style sheet hides."""
        script = (
            "return [...document.querySelectorAll(arguments[0])]"
            ".map((part) => part.textContent)"
        )
        return self.run(script, selector)

    def names(self):
        """Return the names of the images in the grid."""
        return self.texts(".card .name")

    def wait(self, script, seconds=5):
        """Wait until the result of a script is true, and return it."""
        end = monotonic() + seconds
        while not (result := self.run(script)):
            assert monotonic() < end, f"timed out waiting for: {script}"
            sleep(0.02)
        return result

    def console_messages(self):
        """Return the messages in the console since the last call."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self):
        """Return the addresses that were requested since the last call."""
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
        """Emulate a screen of this size."""
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
        """Emulate the preferred color scheme of the system, "light" or "dark"."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.driver.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"features": [feature]}
        )


@pytest.fixture
def open_page(driver):
    """Return a function that opens a file in a wide window with a light theme."""

    def open_page(path):
        page = Page(driver)
        page.resize(1400, 900)
        page.prefer("light")
        page.console_messages(), page.requests()
        driver.get(path.as_uri())
        return page

    return open_page
