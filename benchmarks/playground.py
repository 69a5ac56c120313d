"""From the hand to the drawn result in the playground: python -m benchmarks.playground (needs Chromium).

A real Chromium drags a mode about, and the page notes for every answer that it drew how long ago the movement was that
the answer is to: the way to the server, the run, the way back, the samples' glide to their new places (50 ms) and the
frame that shows them. Then the same with single moves by keyboard. Writes docs/benchmarks_playground.md.
"""

from __future__ import annotations

import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import Page, sync_playwright

from superdiff_engine.domains import get_domain

SWITCHES = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--no-first-run"]
PAGE = Path(__file__).parent.parent / "docs" / "benchmarks_playground.md"
TAB = "window.superdiffPlayground"
STILL = f"() => {TAB}?.answer?.positions && !{TAB}.flying && !{TAB}.wanted"
#: Seconds from a movement to its drawn result that the playground is to stay below.
BAR = 0.5
#: What is played with: title, and the ready recipe (None: what the page begins with).
PLAYED = (
    ("two experts of two modes, OR", None),
    ("ring and grid, 49 modes, AND", "Ring AND grid: where they cross"),
    ("three experts, OR", "Three experts: OR"),
    ("XOR of two pairs, corrected", "Either pair, not both: XOR, exactly"),
)


def place(page: Page, x: float, y: float) -> tuple[float, float]:
    """Of a point of the plane on the screen."""
    box = page.locator(".plane").bounding_box()
    assert box is not None
    reach = page.evaluate(f"() => {TAB}.reach")
    unit = (box["width"] - 2 - 38) / (2 * reach)
    return box["x"] + 31 + (x + reach) * unit, box["y"] + 9 + (reach - y) * unit


def drag(page: Page, steps: int, pause: int) -> None:
    """Take the chosen mode once around, with so many milliseconds between two movements."""
    mode = page.evaluate(f"() => {TAB}.sketch.experts[{TAB}.expert].modes[{TAB}.mode]")
    page.mouse.move(*place(page, mode["x"], mode["y"]))
    page.mouse.down()
    for step in range(1, steps + 1):
        page.mouse.move(*place(page, mode["x"] + 0.5 * step / steps, mode["y"] - 0.4 * step / steps))
        page.wait_for_timeout(pause)
    page.mouse.up()


def measure(page: Page, address: str, link: str | None) -> dict[str, list[dict[str, Any]]]:
    """Answers that were drawn while a mode was dragged, and after single moves of it."""
    page.goto(f"{address}/playground" + (f"?play={link}" if link else ""))
    page.wait_for_function(STILL)
    page.wait_for_timeout(500)
    found = {}
    for name, act in (("dragged", lambda: drag(page, 120, 16)), ("single moves", lambda: singles(page))):
        known = page.evaluate(f"() => {TAB}.number")
        act()
        page.wait_for_function(STILL)
        page.wait_for_timeout(200)
        found[name] = page.evaluate(f"() => {TAB}.drawn.filter((one) => one.number > {known})")
    return found


def singles(page: Page) -> None:
    page.locator(".plane").focus()
    for key in ("ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp") * 3:
        page.keyboard.press(key)
        page.wait_for_function(STILL)
        page.wait_for_timeout(150)


def main() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address, folder = f"http://127.0.0.1:{port}", tempfile.mkdtemp()
    plane = get_domain("plane")
    load = os.getloadavg()[0]
    lines = []
    with sync_playwright() as playwright:
        chromium = os.environ.get("SUPERDIFF_CHROMIUM") or shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=chromium, args=SWITCHES)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(60_000)
        command = [str(Path(sys.executable).with_name("superdiff")), "studio", "--port", str(port), "--no-browser"]
        environment = os.environ | {"SUPERDIFF_LIBRARY": folder}
        server = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            began = time.perf_counter()
            while True:
                try:
                    page.goto(address)
                    break
                except PlaywrightError:
                    if server.poll() is not None or time.perf_counter() - began > 120:
                        sys.exit("The studio did not start; run `superdiff studio` to see why.")
                    time.sleep(0.1)
            for title, example in PLAYED:
                link = None
                if example is not None:
                    recipe = plane.examples()[example]
                    small = {"batch": 500, "levels": recipe.levels.model_copy(update={"steps": 60})}
                    link = plane.playing.drawn(recipe).model_copy(update=small).to_link()
                for way, drawn in measure(page, address, link).items():
                    took = sorted(one["took"] / 1000 for one in drawn)
                    run = statistics.median(one["seconds"] for one in drawn)
                    slow = took[min(int(0.9 * len(took)), len(took) - 1)]
                    lines.append(
                        f"| {title} | {way} | {len(took)} | {statistics.median(took):.2f} | {slow:.2f} | {run:.2f} |"
                    )
                    print(lines[-1])
        finally:
            browser.close()
            server.terminate()
            server.wait(20)
            shutil.rmtree(folder, ignore_errors=True)
    PAGE.write_text(
        "# The playground\n\n"
        "Made by `python -m benchmarks.playground`: seconds from a movement of the hand, or a press of a key, to the\n"
        "frame in which Chromium has drawn the samples, the exact target and the curves that follow from it: 500\n"
        f"samples, 60 steps. The bar is {BAR} s. The experts' own contour lines need no answer: they are drawn in the\n"
        f"next frame. Measured with {os.cpu_count()} CPUs, which server and browser share; the load before was "
        f"{load:.1f}.\n\n"
        "Of it, 50 ms are the samples' glide to their new places. While a hand moves, one request is on its way at a\n"
        "time, and the next one is for the newest place: what lies between is never computed.\n\n"
        "| played with | how | results drawn | median, s | 9 of 10 within, s | of it the server, median, s |\n"
        "| --- | --- | --- | --- | --- | --- |\n" + "\n".join(lines) + "\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
