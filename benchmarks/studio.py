"""How soon the studio is there, and how lively it is: python -m benchmarks.studio (needs Chromium).

Seconds from the command to a page that can be used, from Run to the first live tick in the plane, and live updates a
second, as a browser sees them.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import sync_playwright

from superdiff_engine.domains import get_domain
from superdiff_engine.domains.checked import make_recipe

SWITCHES = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--no-first-run"]
#: The step that the page shows, noted every time it changes.
WATCH = """() => {
    window.seen = [];
    const look = () => {
        const found = document.body.innerText.match(/step (\\d+) of/);
        if (found && window.seen.at(-1)?.[0] !== found[1]) window.seen.push([found[1], performance.now()]);
        requestAnimationFrame(look);
    };
    look();
}"""


def main() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    recipe = next(iter(get_domain("plane").examples().values())).model_dump(exclude_none=True)
    long = make_recipe(recipe | {"levels": {"steps": 10_000}}).to_link()
    chromium = os.environ.get("SUPERDIFF_CHROMIUM") or shutil.which("chromium")
    folder = tempfile.mkdtemp()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=SWITCHES)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(60_000)
        started = time.perf_counter()
        command = [str(Path(sys.executable).with_name("superdiff")), "studio", "--port", str(port), "--no-browser"]
        server = subprocess.Popen(
            command,
            env=os.environ | {"SUPERDIFF_LIBRARY": folder},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            while True:
                try:
                    page.goto(f"http://127.0.0.1:{port}/")
                    break
                except PlaywrightError:
                    if server.poll() is not None or time.perf_counter() - started > 120:
                        sys.exit("The studio did not start; run `superdiff studio` to see why.")
                    time.sleep(0.1)
            page.get_by_role("button", name="Run Shortcut").first.wait_for()
            print(f"page ready: {time.perf_counter() - started:.1f} s after the command (bar: 5 s)")
            page.goto(f"http://127.0.0.1:{port}/?recipe={long}")
            page.get_by_role("button", name="Run Shortcut").first.wait_for()
            page.wait_for_timeout(1500)
            for attempt in ("first", "second"):
                page.evaluate(WATCH)
                pressed = page.evaluate("() => performance.now()")
                page.keyboard.press("Control+Enter")
                page.get_by_text(re.compile(r"step \d+ of \d+")).first.wait_for()
                page.wait_for_timeout(4000)
                seen = page.evaluate("() => window.seen")
                times = [at for _, at in seen]
                rate = (len(times) - 1) / (times[-1] - times[0]) * 1000
                first = (times[0] - pressed) / 1000
                print(f"{attempt} run: first tick {first:.2f} s after Run (bar: 1 s), {rate:.1f} updates/s (bar: 4)")
                page.get_by_role("button", name="Cancel").click()
                page.get_by_text("Cancelled at step").wait_for()
                page.locator(".js-plotly-plot").first.wait_for()
                page.wait_for_timeout(3000)  # the results are drawn
        finally:
            browser.close()
            server.terminate()
            server.wait(20)
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
