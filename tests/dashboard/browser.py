"""A headless Chromium, and what a person does with it."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from tests.patience import PATIENCE_S

_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


def programs() -> tuple[str, str]:
    """Where Chromium and its driver are. Where they are not, a test skips, which fails in CI."""
    chromium, driver = (shutil.which(name) for name in ("chromium", "chromedriver"))
    if chromium is None or driver is None:
        pytest.skip("needs chromium and its driver (Debian: chromium, chromium-driver)")
    return chromium, driver


class Browser:
    """One tab."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, url: str) -> None:
        self.driver.get(url)

    def resize(self, width: int, height: int, *, dark: bool = False, phone: bool = False) -> None:
        """Become another screen."""
        self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.command("Emulation.setEmulatedMedia", features=[scheme])

    def command(self, name: str, **parameters: Any) -> Any:
        """A command of Chromium's own protocol."""
        return self.driver.execute_cdp_cmd(name, parameters)

    def run(self, script: str, *given: object) -> Any:
        return self.driver.execute_script(script, *given)

    def find(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def text(self, selector: str = "body") -> str:
        """What a person can read there."""
        return self.find(selector).text

    def until(self, selector: str, part: str) -> str:
        """Look there until this stands there, and return all that does. What comes meanwhile may push it away."""
        said = ""

        def there(_: object) -> bool:
            nonlocal said
            said = self.run(
                "const found = Array.from(document.querySelectorAll(arguments[0]));"
                "const place = found[0] ?? document.querySelector(arguments[0].split(' ')[0]);"
                "(place?.closest('section') ?? document.body).scrollIntoView();"
                "return found.map(each => each.innerText).join('\\n')",
                selector,
            )
            return part in said

        try:
            WebDriverWait(self.driver, PATIENCE_S, poll_frequency=0.1).until(there)
        except Exception as error:
            raise AssertionError(f"{selector} never said {part!r} but {said!r}; {self.complaints()}") from error
        return said

    def complaints(self) -> list[str]:
        """What the console holds, since somebody last asked."""
        return [entry["message"] for entry in self.driver.get_log("browser")]  # type: ignore[no-untyped-call]

    def picture(self, path: Path, top: float, height: float) -> None:
        """A part of the page as a PNG, over all its width."""
        clip = {"x": 0, "y": top, "width": self.run("return innerWidth"), "height": height, "scale": 1}
        shot = self.command("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(shot["data"]))


@contextmanager
def browsing() -> Iterator[Browser]:
    """A browser that knows nobody."""
    chromium, program = programs()
    with TemporaryDirectory(prefix="collabd-browser-") as profile:
        options = Options()
        options.binary_location = chromium
        for flag in (*_FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        driver = webdriver.Chrome(options, Service(program))
        try:
            yield Browser(driver)
        finally:
            driver.quit()
