"""A dataset's page, and MLflow's pages on its runs -> pictures in README.md, taken by Chromium. `make screenshot`."""

import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

from playwright.sync_api import Browser, sync_playwright

from segbench.files import replacing

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
PAGE_PX, MLFLOW_PX = (1000, 760), (1280, 860)
"""Width and height. A column of GitHub's pages has 830 px, to which wider pictures are reduced with the text in them;
in a window much narrower than this, MLflow cuts off the names of its charts."""
DENSITY = 1.5
"""Pixels of a picture for each of the browser's, for sharp screens."""
STARTS_IN_S = 120.0
SETTLES_IN_MS = 5000
"""MLflow's pages draw their charts after all is loaded."""
VIEWS = {"mlflow_scores": "scores", "mlflow_curves": "images_seen"}
"""Pictures of the experiment's views: see segbench.tracking.names."""


def main(*datasets: str) -> None:
    """Photograph the top of each dataset's page; with mlflow.db, also what MLflow shows of the first one's runs."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit(f"error: none of {', '.join(BROWSERS)} is on this machine; install one")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        for dataset in datasets:
            report = Path("reports") / dataset
            page = (report / "index.html").resolve().as_uri()
            _photograph(chromium, page, report / "index.png", size_px=PAGE_PX)
        if Path("mlflow.db").exists():
            with mlflow_ui() as address:
                for name, view in VIEWS.items():
                    page = view_address(address, datasets[0], view)
                    picture = Path("reports") / datasets[0] / f"{name}.png"
                    _photograph(chromium, page, picture, size_px=MLFLOW_PX, wait_ms=SETTLES_IN_MS)
        chromium.close()


def _photograph(browser: Browser, address: str, path: Path, *, size_px: tuple[int, int], wait_ms: int = 0) -> None:
    width_px, height_px = size_px
    tab = browser.new_context(
        viewport={"width": width_px, "height": height_px}, device_scale_factor=DENSITY, color_scheme="light"
    ).new_page()  # a context of its own: MLflow remembers how a page was left
    tab.goto(address)
    tab.wait_for_timeout(wait_ms)
    for button in tab.get_by_role("button", name="Close").all():  # of MLflow's assistant
        button.click()
        tab.wait_for_timeout(wait_ms)
    with replacing(path) as temporary:
        temporary.write_bytes(tab.screenshot(type="png"))


def view_address(address: str, dataset: str, view: str) -> str:
    """Of an experiment's view in MLflow's pages."""
    page = f"{address}/#/experiments/{_experiment_id(dataset)}/runs?workflowType=machine_learning"
    return f"{page}&viewStateShareKey={view}" + ("&compareRunsMode=CHART" if view != "scores" else "")


@contextmanager
def mlflow_ui() -> Iterator[str]:
    """The address of MLflow's pages on mlflow.db."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "ui", "--workers", "1", "--port", str(port), "--backend-store-uri"]
    settings = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    server = subprocess.Popen(
        [*command, f"sqlite:///{Path('mlflow.db').resolve()}"], env={**os.environ, **settings}, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        end_s = time.monotonic() + STARTS_IN_S
        while not _answers(address) and time.monotonic() < end_s:
            time.sleep(0.2)
        yield address
    finally:
        os.killpg(server.pid, 15)
        server.wait()


def _answers(address: str) -> bool:
    try:
        urlopen(f"{address}/health", timeout=1).close()
    except OSError:
        return False
    return True


def _experiment_id(dataset: str) -> str:
    with sqlite3.connect("file:mlflow.db?mode=ro", uri=True) as store:
        ((found,),) = store.execute("SELECT experiment_id FROM experiments WHERE name = ?", (dataset,)).fetchall()
    return str(found)


if __name__ == "__main__":
    main(*sys.argv[1:])
