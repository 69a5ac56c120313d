"""A real server killed in the middle of runs, round after round on one library; then its page, in a real Chromium.

Its runs are asked for in a tab. Beside it another process names runs, as the command line does. After each kill the
library is checked as in library.py. At last the page Library must list all of it, with names that are markup, of any
script, of any length, shown as text.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, Error, Page, Route, sync_playwright

from superdiff_engine.domains.checked import make_recipe
from superdiff_engine.library import Library, Query
from superdiff_engine.library.labels import LONGEST_NAME, LONGEST_NOTE
from superdiff_engine.recipes.document import Recipe

from ..nasty import NASTY, SHORT
from .ledger import ROOT, Broken, Ledger
from .library import Journal, by_hand, check_library, furnished
from .mutate import generator
from .tabs import chromium

#: Names that a page could take for something else.
NAMES = [
    NASTY, SHORT, "<img src=x onerror=document.title='owned'>", "<script>document.title='owned'</script>",
    "[a](javascript:alert(1))", "![x](https://a.example/x.png)", "# heading", "<!--", "]]>", "&amp;&lt;", "${1+1}",
    "{{7*7}}",
    "\u202ereversed\u202c", "\u2066isolate", "zero\u200bwidth\u200d", "a\u0301\u0301\u0301" * 20, "W" * LONGEST_NAME,
    "超级扩散", "اختبار", "ניסוי", "परीक्षण", "🧑‍🔬👩‍👩‍👧", "𝕳𝖊𝖑𝖑𝖔", "İıſßﬁ", "%s%n%x",
    "../../etc/passwd", "CON", "'; DROP TABLE runs;--",
]  # fmt: skip


def recipe(number: int) -> Recipe:
    """One of three, of a second or so each."""
    levels = {"steps": (60, 150, 300)[number % 3]}
    experts = [{"model": "ring"}, {"model": "grid"}]
    return make_recipe({"domain": "plane", "experts": experts, "levels": levels, "batch": 1024, "seed": number % 3})


class Server:
    """A studio on a library, in a process of its own, until it is killed."""

    def __init__(self, folder: Path, log: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        environment = os.environ | {"SUPERDIFF_LIBRARY": str(folder), "PYTHONPATH": paths}
        script = ROOT / "studio" / "serve.py"
        command = [sys.executable, "-m", "streamlit", "run", str(script), f"--server.port={port}"]
        command += ["--server.headless=true", "--server.address=127.0.0.1", "--browser.gatherUsageStats=false"]
        self.log = log
        with log.open("wb") as file:
            self.process = subprocess.Popen(command, cwd=script.parent, env=environment, stdout=file, stderr=file)
        self.address = f"http://127.0.0.1:{port}"
        until = time.monotonic() + 180
        while time.monotonic() < until:
            try:
                urllib.request.urlopen(f"{self.address}/_stcore/health", timeout=5).close()
                return
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.1)
        self.kill()
        raise Broken(f"the server did not start: {log.read_text()[-500:]}")

    def kill(self) -> None:
        """Without warning."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def _round(context: BrowserContext, folder: Path, journal: Journal, rng: random.Random) -> str:
    """One server: runs, names, its end; says what was going on then."""
    server = Server(folder, folder.parent / "log")
    page = context.new_page()
    try:
        page.goto(f"{server.address}/?recipe={recipe(rng.randrange(3)).to_link()}")
        page.get_by_role("button", name="Run Shortcut").first.wait_for()
        before = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        until = time.monotonic() + 60
        while not folder.is_dir() or not {path.name for path in folder.iterdir()} - before - {"index.sqlite3"}:
            page.keyboard.press("Control+Enter")
            page.wait_for_timeout(500)
            if time.monotonic() > until:
                raise Broken(f"no run begins: {page.inner_text('body')[:300]}")
        library = Library(folder)
        end = time.monotonic() + rng.uniform(0, 4)
        while time.monotonic() < end:
            library.refresh()
            entries = library.find(Query(states=("done",))).entries
            if entries:
                id, name = rng.choice(entries).id, f"name {rng.randrange(10**6)}"
                journal.say(labelling=id, name=name)
                library.label(id, name=name)
                journal.say(labelled=id, name=name)
            time.sleep(0.05)
        library.refresh()
        for entry in library.find(Query(states=("done",))).entries:
            journal.say(done=entry.id)
        at_work = library.find(Query(states=("running",))).total
    finally:
        server.kill()
        page.close()
    if "Traceback" in server.log.read_text():
        raise Broken(f"the server's log has a traceback: {server.log.read_text()[-600:]}")
    return "in the middle of a run" if at_work else "between two runs"


def _names(context: BrowserContext, folder: Path, foreign: list[str]) -> int:
    """The page Library of another server, with nasty names; says how many were shown as text."""
    library = Library(folder)
    library.refresh()
    entries = library.find(Query(states=("done",))).entries
    server = Server(folder, folder.parent / "log")
    page = context.new_page()
    shown = 0
    try:
        page.goto(f"{server.address}/library")
        page.locator("li.card .open").first.wait_for()
        usual = _elements(page)
        for start in range(0, len(NAMES), len(entries)):
            for entry, name in zip(entries, NAMES[start:], strict=False):
                tag = name[:60]
                library.label(entry.id, name=name[:LONGEST_NAME], note=(name * LONGEST_NOTE)[:LONGEST_NOTE], add=[tag])
                if not any(one.id == entry.id for one in library.find(Query(text=name[:LONGEST_NAME])).entries):
                    raise Broken(f"{name!r} is not found again")
            page.goto(f"{server.address}/library")
            page.locator("li.card .open").first.wait_for()
            for entry, _ in zip(entries, NAMES[start:], strict=False):
                card = page.locator(f"li.card[data-id='{entry.id}']")
                card.locator(".tag").first.wait_for()
                labels = library.entry(entry.id).labels
                if card.locator(".open").evaluate("one => one.textContent") != labels.name:
                    raise Broken(f"{labels.name!r} is shown as another text")
                tags = card.locator(".tag").evaluate_all("all => all.map(one => one.textContent)")
                if tags != list(labels.tags):
                    raise Broken(f"{labels.tags!r} are shown as {tags!r}")
                shown += 1
            card.locator(".more").click(force=True)
            page.get_by_label("Note", exact=True).wait_for()
            page.wait_for_timeout(1000)
            if page.get_by_label("Note", exact=True).input_value() != labels.note:
                raise Broken(f"the note of {labels.name!r} is shown as another text")
            if extra := _elements(page) - usual - {"textarea"}:
                raise Broken(f"elements that a name made: {extra}")
            if page.title() == "owned" or foreign:
                raise Broken(f"a name did something: {page.title()} {foreign}")
            card.locator(".more").click(force=True)
        return shown
    finally:
        server.kill()
        page.close()


def _elements(page: Page) -> set[str]:
    """The kinds of elements on a page that a text could have made."""
    kinds: list[str] = page.evaluate(
        "() => [...document.querySelectorAll('script, iframe, object, embed, li img, li script, li a, li b, li h1')]"
        ".map(one => one.closest('li.card') ? one.outerHTML.slice(0, 60) : one.tagName)"
    )
    return {kind for kind in kinds if not kind.startswith('<img src="data:image/webp')}


def check(seed: int, numbers: list[int], command: str) -> list[Ledger]:
    """All rounds, one after another on one library; then the page."""
    started, counts, problems = time.monotonic(), Counter[str](), []
    figures: dict[str, float] = {}
    for number in range(3):
        by_hand(recipe(number).to_json())
    with (
        tempfile.TemporaryDirectory() as name,
        sync_playwright() as playwright,
        chromium(playwright) as browser,
    ):
        folder, journal = Path(name) / "library", Journal(Path(name) / "journal")
        shutil.copytree(furnished(), folder)
        there = {path.name for path in folder.iterdir()}
        shutil.rmtree(furnished(), ignore_errors=True)
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        context.set_default_timeout(120_000)
        foreign: list[str] = []

        def gate(route: Route) -> Any:
            if route.request.url.startswith("http://127.0.0.1:"):
                return route.continue_()
            foreign.append(route.request.url)
            return route.abort()

        context.route("**/*", gate)
        entries: list[Any] = []
        for number in numbers:
            try:
                outcome = _round(context, folder, journal, generator(seed, number))
                entries = check_library(folder, journal.read(), there)
                counts[f"killed {outcome}"] += 1
            except (Broken, Error) as error:
                problems.append((number, str(error)[:600]))
        figures |= {f"runs that are {state}, after all": float(count) for state, count in
                    Counter(entry.state for entry in entries).items()}  # fmt: skip
        try:
            figures["nasty names shown as text"] = _names(context, folder, foreign)
        except (Broken, Error) as error:
            problems.append((-1, str(error)[:600]))
    return [
        Ledger("servers, kills", command, len(numbers), time.monotonic() - started, dict(counts), figures, problems)
    ]
