"""Many tabs of a real browser, each with a run of its own: results stay on every page, whatever is clicked next."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Error, Page, Playwright, sync_playwright

from superdiff_engine.domains import get_domain
from superdiff_engine.domains.checked import make_recipe

from ..browser.conftest import PATIENCE, serving
from .ledger import ROOT, Ledger

#: Which domain a tab runs, its steps and samples: by its number.
KINDS = [("plane", 20, 64), ("plane", 10, 256), ("pictures", 2, 4), ("plane", 40, 16), ("molecules", 3, 3)]
_PROTEINS = ("proteins", 2, 1)


def link(number: int) -> str:
    """The query of a tab's recipe; its seed is the tab's number."""
    domain, steps, batch = _PROTEINS if number % 20 == 7 else KINDS[number % len(KINDS)]
    recipe: dict[str, Any] = next(iter(get_domain(domain).examples().values())).model_dump(mode="json")
    changed = {"levels": {"steps": steps}, "batch": batch, "seed": 1000 + number}
    return "?recipe=" + make_recipe(recipe | changed).to_link()


def holds(page: Page, number: int) -> str:
    """What is wrong with a tab that shows a finished run; empty where nothing is."""
    text = page.inner_text("body")
    if f"seed {1000 + number}" not in text or "Finished" not in text:
        return f"its results are gone: {' '.join(text.split())[:200]}"
    for bad in ("Something unexpected", "Traceback", "does not know", "no longer in memory", "encountered an error"):
        if bad in text:
            return f"the page says '{bad}'"
    return ""


def _one_by_one(pages: dict[int, Page], problems: dict[int, str], act: Any) -> None:
    for number, page in pages.items():
        if number not in problems:
            try:
                act(number, page)
            except Error as error:
                problems[number] = str(error).splitlines()[0]


def _view(name: str, problems: dict[int, str]) -> Any:
    def act(number: int, page: Page) -> None:
        page.bring_to_front()
        page.get_by_role("radio", name=name, exact=True).first.click()
        page.wait_for_timeout(300)
        page.get_by_text(f"seed {1000 + number}").first.wait_for()
        if problem := holds(page, number):
            problems[number] = f"after a click on {name}: {problem}"

    return act


def try_tabs(browser: Browser, address: str, numbers: list[int]) -> dict[int, str]:
    """What went wrong in each tab where something did."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(3 * PATIENCE)
    pages, problems = {number: context.new_page() for number in numbers}, {}

    def open_link(number: int, page: Page) -> None:
        page.goto(f"{address}/{link(number)}")
        page.get_by_role("button", name="Run Shortcut").first.wait_for()

    def run(number: int, page: Page) -> None:
        page.bring_to_front()
        page.keyboard.press("Control+Enter")
        page.get_by_role("button", name="Cancel").or_(page.get_by_text("Finished")).first.wait_for()

    def finish(number: int, page: Page) -> None:
        page.bring_to_front()
        page.get_by_text("Finished").first.wait_for()
        page.get_by_text(f"seed {1000 + number}").first.wait_for()

    for act in (
        open_link,
        run,
        finish,
        _view("Curves", problems),
        _view("Table", problems),
        _view("Samples", problems),
    ):
        _one_by_one(pages, problems, act)
    context.close()
    return problems


def chromium(playwright: Playwright) -> Browser:
    """A browser of this machine's, for a block."""
    path = os.environ.get("SUPERDIFF_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    switches = ["--no-sandbox", "--enable-unsafe-swiftshader", "--disable-background-networking"]
    return playwright.chromium.launch(executable_path=path, args=switches)


def check(seed: int, numbers: list[int], command: str) -> list[Ledger]:
    """All tabs at once, in one browser, on one server."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as name, serving(ROOT / "studio" / "app.py", Path(name)) as address:
        with sync_playwright() as playwright, chromium(playwright) as browser:
            problems = try_tabs(browser, address, numbers)
        log = (Path(name) / "log").read_text()
    if "Traceback" in log:
        problems.setdefault(-1, f"the server's log has a traceback: {log[log.index('Traceback') :][-400:]}")
    outcomes = {"results stay after three clicks": len(set(numbers) - problems.keys())}
    return [Ledger("tabs", command, len(numbers), time.monotonic() - started, outcomes, {}, sorted(problems.items()))]
