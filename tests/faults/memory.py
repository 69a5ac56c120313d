"""Many small runs in one process as the studio's server keeps them, and in the server: what its memory grows by."""

from __future__ import annotations

import gc
import multiprocessing
import os
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from studio.jobs import Jobs
from superdiff_engine.domains import get_domain
from superdiff_engine.domains.checked import make_recipe
from superdiff_engine.recipes.document import Recipe

from .ledger import ROOT, Ledger, memory_of

#: Runs before the memory counts: libraries and models are loaded, and as many runs are kept as ever will be.
WARM_UP = 40
#: MiB that a run may add for good, on average.
MOST_GROWTH = 0.05


def recipe(seed: int, number: int) -> Recipe:
    """Runs of the plane mostly, of molecules and pictures now and then."""
    domain, steps, batch = ("molecules", 2, 2) if number % 20 == 7 else ("plane", 20, 64)
    domain, steps, batch = ("pictures", 1, 2) if number % 20 == 13 else (domain, steps, batch)
    document: dict[str, Any] = next(iter(get_domain(domain).examples().values())).model_dump(mode="json")
    return make_recipe(document | {"levels": {"steps": steps}, "batch": batch, "seed": seed + number})


def _serve(seed: int, runs: int, folder: str, pipe: Connection) -> None:
    """Do the runs and send (runs so far, state of the last one, MiB held)."""
    jobs = Jobs(Path(folder))
    for number in range(WARM_UP + runs):
        job = jobs.submit(recipe(seed, number))
        job.run.finished.wait()
        look = number + 1 - WARM_UP
        if look in (0, runs) or (look > 0 and look % 100 == 0):
            gc.collect()
            time.sleep(0.1)
        pipe.send((look, job.run.state, memory_of("VmRSS")))
    pipe.close()


def check(seed: int, runs: int, page_runs: int, command: str) -> list[Ledger]:
    """So many runs in the registry, and so many by Ctrl+Enter in a browser's tab, after the ones that warm up."""
    return [*_in_a_registry(seed, runs, command), *_in_the_server(seed, page_runs, command)]


def _in_a_registry(seed: int, runs: int, command: str) -> list[Ledger]:
    """Runs through the server's registry of jobs, in a process of their own that draws no page."""
    if runs == 0:
        return []
    ledger, started, seen = Ledger("memory", command, runs), time.monotonic(), {}
    with tempfile.TemporaryDirectory() as folder:
        here, there = multiprocessing.Pipe(duplex=False)
        context = multiprocessing.get_context("spawn")
        server = context.Process(target=_serve, args=(seed, runs, folder, there))
        server.start()
        there.close()
        try:
            while True:
                number, state, held = here.recv()
                seen[number] = held
                if number > 0:
                    ledger.outcomes[state] = ledger.outcomes.get(state, 0) + 1
                if state != "done":
                    ledger.failures.append((number, f"a run is {state}"))
        except EOFError:
            server.join()
    ledger.seconds = time.monotonic() - started
    if runs not in seen:
        ledger.failures.append((max(seen, default=0), f"the process ended, exit code {server.exitcode}"))
        return [ledger]
    _judge(ledger, seen)
    return [ledger]


def _judge(ledger: Ledger, seen: dict[int, float]) -> None:
    """Figures of a ledger from the MiB held after so many runs."""
    runs = max(seen)
    half = runs // 2
    marks = {"MiB before": 0, "MiB after 100 runs": 100, "MiB after all": runs}
    growth = (seen[runs] - seen[half]) / (runs - half)
    ledger.figures = {name: round(seen[mark], 1) for name, mark in marks.items() if mark in seen}
    ledger.figures["growth in the second half, KiB a run"] = round(1024 * growth, 1)
    if growth > MOST_GROWTH:
        ledger.failures.append((half, f"every run adds {1024 * growth:.0f} KiB"))


def _in_the_server(seed: int, runs: int, command: str) -> list[Ledger]:
    """Runs of the plane, one after another in one tab of a real browser on a real server."""
    if runs == 0:
        return []
    from playwright.sync_api import Error, sync_playwright

    from ..browser.conftest import serving
    from .tabs import chromium

    ledger, started, seen = Ledger("memory, in the server", command, runs), time.monotonic(), {}
    link = "?recipe=" + recipe(seed, 0).to_link()
    with (
        tempfile.TemporaryDirectory() as name,
        serving(ROOT / "studio" / "app.py", Path(name)) as address,
        sync_playwright() as playwright,
        chromium(playwright) as browser,
    ):
        page = browser.new_page()
        page.set_default_timeout(180_000)
        page.goto(f"{address}/{link}")
        page.get_by_role("button", name="Run Shortcut").first.wait_for()
        server, again = _child("streamlit"), 0
        for number in range(1 - WARM_UP // 2, runs + 1):
            before = page.url
            page.keyboard.press("Control+Enter")
            try:
                page.wait_for_function("(old) => location.href !== old", arg=before, timeout=20_000)
            except Error:  # the page was being drawn anew
                again += 1
                page.keyboard.press("Control+Enter")
            try:
                page.wait_for_function(
                    "(old) => location.href !== old && document.body.innerText.includes('Finished')", arg=before
                )
            except Error as error:
                ledger.failures.append((number, f"{str(error).splitlines()[0]} {page.inner_text('body')[:300]}"))
                break
            if number >= 0:
                seen[number] = memory_of("VmRSS", server)
    ledger.seconds = time.monotonic() - started
    ledger.outcomes = {"finished on the page": len(seen) - 1}
    if not ledger.failures:
        _judge(ledger, seen)
    ledger.figures["keys pressed again"] = again
    return [ledger]


def _child(word: str) -> int:
    """The child of this process with a word in its command line."""
    for path in Path("/proc").glob("[0-9]*/status"):
        try:
            mine = f"PPid:\t{os.getpid()}\n" in path.read_text()
            if mine and word in (path.parent / "cmdline").read_text():
                return int(path.parent.name)
        except OSError:
            continue
    raise ProcessLookupError(word)
