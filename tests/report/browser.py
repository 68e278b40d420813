"""A headless Chromium, driven over WebDriver on the loopback interface with the standard library alone."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

START_TIMEOUT_S = 30.0
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--no-proxy-server",
)


def missing_programs() -> list[str]:
    """Name what is not installed of what the tests need."""
    return [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]


class Browser:
    """One window of one session."""

    def __init__(self, session_url: str) -> None:
        self._session_url = session_url

    def call(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Send one WebDriver command; without a body it is a GET."""
        return _request(f"{self._session_url}/{path}", body)

    def run(self, script: str, *arguments: object) -> Any:
        """Run a script in the page and return its value."""
        return self.call("execute/sync", {"script": script, "args": list(arguments)})

    def run_async(self, script: str, *arguments: object) -> Any:
        """Run a script that calls its last argument when it is done."""
        return self.call("execute/async", {"script": script, "args": list(arguments)})

    def devtools(self, command: str, **parameters: object) -> Any:
        """Send one command of the DevTools protocol."""
        return self.call("goog/cdp/execute", {"cmd": command, "params": parameters})

    def open(self, file: Path, *, width: int = 1280, height: int = 900, scheme: str = "light") -> None:
        """Show a file in a window of this size, light or dark."""
        self.devtools(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        self.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        # By way of an empty page: going to the page that is shown already, the driver sometimes returns too early.
        for address in ("about:blank", file.resolve().as_uri()):
            self.call("url", {"url": address})
            self._wait_for(address)

    def _wait_for(self, address: str) -> None:
        """Wait until a page is loaded and its scripts have run."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while self.run("return document.readyState === 'complete' && location.href") != address:
            assert time.monotonic() < deadline, f"{address} was not loaded within {START_TIMEOUT_S} s"
            time.sleep(0.05)

    def console(self) -> list[str]:
        """Return the messages since the last call: script errors, refused loads, missing files."""
        return [entry["message"] for entry in self.call("se/log", {"type": "browser"})]

    def screenshot(self, path: Path) -> None:
        """Save a picture of the whole page."""
        size = self.devtools("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        picture = self.devtools("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(picture["data"]))


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Start chromedriver on a free port and one session; both are gone when the block ends."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
        log = Path(folder) / "chromedriver.log"
        with open(log, "w", encoding="utf-8") as file:
            driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=file, stderr=file, env=environment)
        try:
            base = f"http://127.0.0.1:{_wait_for_port(log, driver)}"
            options = {
                "goog:chromeOptions": {"args": [*FLAGS, f"--user-data-dir={folder}/profile"]},
                "goog:loggingPrefs": {"browser": "ALL"},
            }
            session = _request(f"{base}/session", {"capabilities": {"alwaysMatch": options}})
            url = f"{base}/session/{session['sessionId']}"
            try:
                yield Browser(url)
            finally:
                _request(url, method="DELETE")
        finally:
            driver.terminate()
            driver.wait(timeout=10)


def _wait_for_port(log: Path, driver: subprocess.Popen[bytes]) -> int:
    """Read the port that chromedriver chose from what it prints."""
    marker = "started successfully on port "
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and driver.poll() is None:
        text = log.read_text(encoding="utf-8")
        if marker in text:
            return int(text.split(marker)[1].split(".")[0])
        time.sleep(0.05)
    raise RuntimeError(f"chromedriver did not start: {log.read_text(encoding='utf-8')}")


def _request(url: str, body: dict[str, Any] | None = None, *, method: str | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback needs no proxy
    with opener.open(request, timeout=60) as response:
        return json.load(response)["value"]
