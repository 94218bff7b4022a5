"""A dataset's page -> its picture in README.md, taken by Chromium. Not a stage: `make readme`."""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from segbench.files import replacing

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
WIDTH_PX, HEIGHT_PX = 1360, 860


def main(dataset: str) -> None:
    """Photograph the top of the page."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit(f"error: none of {', '.join(BROWSERS)} is on this machine; install one")
    report = Path("reports") / dataset
    with sync_playwright() as playwright, replacing(report / "index.png") as temporary:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        tab = chromium.new_page(viewport={"width": WIDTH_PX, "height": HEIGHT_PX}, color_scheme="light")
        tab.goto((report / "index.html").resolve().as_uri())
        temporary.write_bytes(tab.screenshot(type="png"))
        chromium.close()


if __name__ == "__main__":
    main(sys.argv[1])
