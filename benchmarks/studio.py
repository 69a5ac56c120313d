"""How soon the studio is there, and how lively it is: python -m benchmarks.studio (needs Chromium). Writes a page.

Seconds from the command to a page that can be used, in a browser that is open, beside the same of a Streamlit page
with one button and nothing else, turn by turn, each in a browser of its own: what Streamlit and Chromium take on this
machine anyhow. Then seconds from Run to the first live tick in the plane, and live updates a second, as a browser sees
them. Last, what a page costs the run that it shows: each domain's first example watched in the studio, and in a process
that nobody looks at.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.examples import BARS, example
from benchmarks.timing import machine
from superdiff_engine.domains.checked import make_recipe
from superdiff_engine.runs.run import Run

SWITCHES = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--no-first-run"]
ROUNDS = 3
PAGE = Path("docs/benchmarks_studio.md")
#: What the studio's page waits for, and the other.
READY = {"the studio": ".st-key-run button", "one button": "button:has-text('Hello')"}
#: The step that the live view shows, noted every time it changes. Its text alone is read, which lays out nothing anew.
WATCH = """() => {
    window.seen = [];
    const look = () => {
        const found = document.querySelector(".st-key-live")?.textContent.match(/step (\\d+) of/);
        if (found && window.seen.at(-1)?.[0] !== found[1]) window.seen.push([found[1], performance.now()]);
        requestAnimationFrame(look);
    };
    look();
}"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def served(what: str, folder: str) -> Iterator[str]:
    """A server of the studio, or of the page with one button, that was asked for only now; its address."""
    port, beside = free_port(), Path(sys.executable).parent
    if what == "the studio":
        command = [str(beside / "superdiff"), "studio", "--port", str(port), "--no-browser"]
    else:
        script = Path(folder, "one_button.py")
        script.write_text("import streamlit as st\n\nst.button('Hello')\n")
        options = {"server.port": port, "server.address": "127.0.0.1", "server.headless": "true"}
        flags = [f"--{name}={value}" for name, value in (options | {"browser.gatherUsageStats": "false"}).items()]
        command = [str(beside / "streamlit"), "run", str(script), *flags]
    quiet: Any = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen(command, env=os.environ | {"SUPERDIFF_LIBRARY": folder}, **quiet)
    try:
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.terminate()
        server.wait(20)


@contextmanager
def opened(browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.set_default_timeout(60_000)
    yield page
    page.close()


def ready(page: Page, address: str, what: str) -> float:
    """Seconds until the page of a server that may still be starting can be used.

    The browser is sent there once the server answers, as the studio itself does.
    """
    started = time.perf_counter()
    while True:
        try:
            socket.create_connection(("127.0.0.1", urlsplit(address).port)).close()
            break
        except OSError:
            if time.perf_counter() - started > 120:
                sys.exit(f"There is no page of {what}; start it by hand to see why.")
            time.sleep(0.02)
    page.goto(address)
    page.locator(READY[what]).locator("visible=true").first.wait_for()
    return time.perf_counter() - started


def live(page: Page, address: str) -> Iterator[tuple[float, float]]:
    """Of two runs, one after the other: seconds from Run to the first tick, and updates a second."""
    recipe = example("plane").model_dump(exclude_none=True)
    page.goto(f"{address}?recipe={make_recipe(recipe | {'levels': {'steps': 10_000}}).to_link()}")
    page.locator(READY["the studio"]).locator("visible=true").first.wait_for()
    page.wait_for_timeout(3000)  # it is looked at before it is pressed
    for _ in range(2):
        page.evaluate(WATCH)
        pressed = page.evaluate("() => performance.now()")
        page.keyboard.press("Control+Enter")
        page.wait_for_function("() => window.seen.length")
        page.wait_for_timeout(8000)
        times = [at for _, at in page.evaluate("() => window.seen")]
        yield (times[0] - pressed) / 1000, (len(times) - 1) / (times[-1] - times[0]) * 1000
        page.get_by_role("button", name="Cancel").click()
        page.get_by_text("Cancelled at step").wait_for()
        page.locator(".js-plotly-plot").first.wait_for()
        page.wait_for_timeout(3000)  # the results are drawn


def watched(page: Page, address: str, domain: str, folder: str) -> tuple[float, float]:
    """Seconds of a run's steps, as its record says, and from Run to its results on the page."""
    before = {path.name for path in Path(folder).iterdir()}
    page.goto(f"{address}?recipe={example(domain).to_link()}")
    page.locator(READY["the studio"]).locator("visible=true").first.wait_for()
    page.wait_for_timeout(3000)
    pressed = time.perf_counter()
    page.keyboard.press("Control+Enter")
    page.locator(".st-key-live").wait_for()
    page.locator(".stMain").get_by_text(re.compile(r"\d+ steps in ")).first.wait_for(timeout=300_000)
    took = time.perf_counter() - pressed
    (status,) = [path for path in Path(folder).glob("*/status.json") if path.parent.name not in before]
    return json.loads(status.read_text())["seconds"], took


def alone(domain: str) -> float:
    """Seconds of the steps of the same run in this process, its models loaded before."""
    run = Run(example(domain))
    run.execute()
    return run.seconds


def main() -> None:
    chromium = os.environ.get("SUPERDIFF_CHROMIUM") or shutil.which("chromium")
    starts: dict[str, list[float]] = {what: [] for what in READY}
    again: dict[str, list[float]] = {what: [] for what in READY}
    runs: list[list[tuple[float, float]]] = []
    shown: dict[str, list[tuple[float, float, float]]] = {domain: [] for domain in BARS}
    folder = tempfile.mkdtemp()
    with sync_playwright() as playwright:

        def begun() -> Browser:
            return playwright.chromium.launch(executable_path=chromium, args=SWITCHES)

        try:
            for number in range(ROUNDS):
                for what in READY:
                    first, second = begun(), begun()
                    with opened(first) as page:
                        page.wait_for_timeout(1000)  # a browser that is open, with an empty page
                        with served(what, folder) as address:
                            starts[what].append(ready(page, address, what))
                            page.goto("about:blank")
                            with opened(second) as other:
                                again[what].append(ready(other, address, what))
                                if what == "the studio":
                                    runs.append(list(live(other, address)))
                    first.close()
                    second.close()
                    print(f"round {number + 1}, {what}: {starts[what][-1]:.1f} s, {again[what][-1]:.1f} s", flush=True)
            browser = begun()
            for domain in BARS:
                alone(domain)
                with served("the studio", folder) as address, opened(browser) as page:
                    ready(page, address, "the studio")
                    watched(page, address, domain, folder)
                    for _ in range(ROUNDS):
                        shown[domain].append((alone(domain), *watched(page, address, domain, folder)))
                print(f"{domain}: {shown[domain][-1]}", flush=True)
            browser.close()
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    text = report(starts, again, runs, shown)
    print(text)
    PAGE.write_text(text)


def spread(values: list[float], digits: int = 1) -> str:
    middle, least, most = (f"{value:.{digits}f}" for value in (statistics.median(values), min(values), max(values)))
    return f"{middle} ({least} to {most})"


def report(
    starts: dict[str, list[float]],
    again: dict[str, list[float]],
    runs: list[list[tuple[float, float]]],
    shown: dict[str, list[tuple[float, float, float]]],
) -> str:
    """The page with the figures."""
    rows = [
        f"| {title} | {bar} | {' | '.join(spread(values[what]) for what in READY)} |"
        for title, bar, values in (
            ("from the command to a page that can be used, in an open browser, s", 5, starts),
            ("from the address to that page, in a browser just begun, s", 5, again),
        )
    ]
    for place, name in enumerate(("first", "second")):
        ticks, rates = ([run[place][part] for run in runs] for part in (0, 1))
        rows.append(f"| from Run to the first live tick, a page's {name} run, s | 1 | {spread(ticks)} | |")
        rows.append(f"| live updates a second, a page's {name} run | 4 | {spread(rates)} | |")
    beside = []
    for domain, found in shown.items():
        by_itself, seconds, took = (list(values) for values in zip(*found, strict=True))
        ratios = [one / other for one, other in zip(seconds, by_itself, strict=True)]
        recipe = example(domain)
        what = f"{domain}: {recipe.batch} samples, {recipe.levels.steps} steps"
        beside.append(f"| {what} | {spread(by_itself)} | {spread(seconds)} | {spread(ratios, 2)} | {spread(took)} |")
    return f"""# How soon the studio is there

`python -m benchmarks.studio`, {time.strftime("%Y-%m-%d")}, {machine()}, Chromium without a display or GPU. Medians of
{ROUNDS} rounds and their spread, turn by turn. Beside the studio stands a Streamlit page with one button and nothing
else: what Streamlit and Chromium take on this machine anyhow. Runs are of the plane, which take one core by
themselves.

| what | bar | the studio | one button |
| --- | --- | --- | --- |
{chr(10).join(rows)}

## What a page costs the run that it shows

The first example of each domain, alone and watched, in turns; {ROUNDS} of each after one that is not counted. Chromium
draws in software here, on the cores that compute. Work that takes all of them is looked at once a second, not four
times.

| run | steps alone, s | steps watched, s | watched over alone | from Run to the results, s |
| --- | --- | --- | --- | --- |
{chr(10).join(beside)}
"""


if __name__ == "__main__":
    main()
