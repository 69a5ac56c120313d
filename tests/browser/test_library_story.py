"""What was made yesterday is there today: run, end and start the server, find the run, replay, compare, export."""

import csv
import io
import re

import pytest
from PIL import Image

from superdiff_engine.library import Library
from tests.browser.conftest import ROOT, serving

pytestmark = pytest.mark.browser
SCRIPT = ROOT / "studio" / "serve.py"


@pytest.fixture
def tab(context):
    page = context.new_page()
    page.set_viewport_size({"width": 1440, "height": 900})
    yield page
    page.close()


def ready(tab, address):
    tab.goto(address)
    tab.get_by_role("button", name="Run Shortcut").first.wait_for()
    tab.wait_for_function("() => window.superdiffTab && location.search.includes('recipe=')")


def run(tab, steps):
    """Run the form, with so many steps."""
    field = tab.get_by_label("Steps", exact=True)
    if not field.is_visible():
        tab.get_by_text("Sampling", exact=True).click()
    field.fill(str(steps))
    tab.keyboard.press("Control+Enter")
    tab.get_by_text(f"{steps} of {steps} steps").first.wait_for()


def saved(tab, menu, item):
    """The bytes of a file that a menu offers."""
    tab.get_by_role("button", name=menu).first.click()
    with tab.expect_download() as begun:
        tab.get_by_role("button", name=item, exact=True).first.click()
    content = begun.value.path().read_bytes()
    tab.keyboard.press("Escape")
    return begun.value.suggested_filename, content


def test_yesterdays_run_is_found_replayed_compared_and_shown_on_a_slide(tab, tmp_path):
    with serving(SCRIPT, tmp_path) as address:
        ready(tab, address)
        run(tab, 6)
        run(tab, 9)
    kept = Library(tmp_path / "runs")
    kept.refresh()
    newest, older = kept.find().entries
    assert (newest.steps, older.steps, newest.state, older.state) == (9, 6, "done", "done")
    kept.label(older.id, name="Yesterday's run")
    with serving(SCRIPT, tmp_path) as address:
        tab.goto(f"{address}/library")
        tab.get_by_placeholder(re.compile("Search names")).fill("yesterday")
        tab.keyboard.press("Enter")
        tab.locator("li.card").nth(1).wait_for(state="detached")
        tab.locator("li.card").get_by_text("Yesterday's run").click()
        # The whole result page, as it was.
        tab.get_by_text("6 of 6 steps").first.wait_for()
        tab.wait_for_function("(id) => location.search.includes(id)", arg=older.id)
        tab.get_by_text("Replay", exact=True).click()
        player = tab.locator(".player[data-step]")
        player.locator(".scene[data-drawn]").wait_for()
        assert player.get_attribute("data-step") == "6"
        name, slide = saved(tab, "Save", "For a slide (PNG)")
        assert name.endswith("-slide.png") and Image.open(io.BytesIO(slide)).size == (1920, 1080)
        # Both, side by side.
        tab.get_by_test_id("stTopNav").get_by_role("link", name="Library").click()
        tab.locator("li.card").nth(0).wait_for()
        tab.get_by_placeholder(re.compile("Search names")).fill("")
        tab.keyboard.press("Enter")
        tab.locator("li.card").nth(1).wait_for()
        for card in tab.locator("li.card").all():
            card.locator("input.pick").check()
        tab.get_by_role("button", name="Compare").click()
        tab.get_by_text(re.compile(r"differ in .*steps")).first.wait_for()
        name, slide = saved(tab, "Save the comparison", "For a slide (PNG)")
        assert name == "comparison.png" and Image.open(io.BytesIO(slide)).size == (1920, 1080)
        _, table = saved(tab, "Save the comparison", "Figures (CSV)")
        rows = list(csv.DictReader(io.StringIO(table.decode())))
        assert {row["run"] for row in rows} == {newest.id, older.id} and {row["recipe: steps"] for row in rows} == {
            "6",
            "9",
        }
