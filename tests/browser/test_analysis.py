"""Proteins looked at in a real browser: cards, a lasso, a map that enlarges."""

import shutil

import pytest
from playwright.sync_api import expect

from superdiff_engine.domains.checked import make_recipe
from superdiff_engine.runs.run import Run

pytestmark = pytest.mark.browser

RECIPE = {
    "domain": "proteins",
    "experts": [{"model": "proteins_alpha"}, {"model": "proteins_beta"}],
    "operator": {"name": "or"},
    "levels": {"steps": 3},
    "solver": "ancestral",
    "batch": 4,
    "residues": 40,
    "seed": 5,
}


@pytest.fixture
def run(studio, tmp_path_factory):
    """A run of proteins in the library of the server that tests share."""
    (home,) = tmp_path_factory.getbasetemp().glob("studio[0-9]*")
    run = Run(make_recipe(RECIPE), previews=False)
    run.folder = home / "runs" / run.id
    run.execute()
    yield run
    shutil.rmtree(run.folder, ignore_errors=True)


def test_cards_are_picked_a_lasso_selects_and_the_map_enlarges(context, studio, run):
    expect.set_options(timeout=60_000)  # machines that run tests are busy
    page = context.new_page()
    page.goto(f"{studio}/?run={run.id}")
    cards = page.locator(".card")
    expect(cards).to_have_count(4)
    # What was asked stands below each, with the value and the verdict in words for those who hear it.
    expect(cards.nth(2).locator(".line").first).to_contain_text("helix ≥ 40 %")
    assert cards.nth(2).locator(".line").count() >= 4 and cards.nth(2).locator(".unseen").first.inner_text() in (
        "satisfied", "not satisfied",
    )  # fmt: skip
    cards.nth(2).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Protein 2", exact=True)).to_be_visible()
    expect(cards.nth(2)).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Protein 1", exact=True)).to_be_visible()

    scatter = page.locator("[class*=st-key-scatter-][class*='-0-1'] .js-plotly-plot")
    scatter.scroll_into_view_if_needed()
    place = scatter.locator(".plot-container .nsewdrag").first.bounding_box()
    corners = [(0.02, 0.02), (0.98, 0.02), (0.98, 0.98), (0.02, 0.98), (0.02, 0.02)]
    for number, (across, up) in enumerate(corners):
        page.mouse.move(place["x"] + across * place["width"], place["y"] + up * place["height"], steps=4)
        if not number:
            page.mouse.down()
    page.mouse.up()
    expect(page.get_by_text("4 proteins selected in the scatter")).to_be_visible()
    page.get_by_role("button", name="Show all").click()
    expect(page.get_by_text("selected in the scatter")).to_have_count(0)

    page.get_by_role("button", name="Enlarge the map").click()
    dialog = page.get_by_role("dialog")
    large = dialog.locator(".js-plotly-plot .nsewdrag").first
    large.hover()
    expect(dialog.locator(".hoverlayer text").first).to_contain_text("residues")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    page.close()
