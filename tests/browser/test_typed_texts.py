"""Text of users, files and models on the page of a real browser: as typed, wherever it stands."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "domains" / "pictures"))

from nasty import NASTY, SHORT

from superdiff_engine.domains.checked import make_recipe
from superdiff_engine.recipes.links import link_of

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
#: What Streamlit would have made of such texts: icons, pictures, links, struck out text.
MADE_OF_IT = "[aria-label^='delete' i], img[alt='Streamlit logo'], a[href*='.example'], del"


@pytest.fixture
def address(tmp_path, monkeypatch, serve):
    """A studio with a model of the user's own, whose title is `SHORT`."""
    from diffusers import DDPMPipeline, DDPMScheduler
    from tiny_pipelines import tiny_unet

    DDPMPipeline(tiny_unet(), DDPMScheduler(clip_sample=False)).save_pretrained(tmp_path / "models" / "mine")
    (tmp_path / "models" / "mine" / "superdiff.json").write_text(json.dumps({"title": SHORT}))
    monkeypatch.setenv("SUPERDIFF_MODELS", str(tmp_path / "models"))
    with serve(ROOT / "studio" / "app.py", tmp_path) as address:
        yield address


def open_with(context, address, link):
    page = context.new_page()
    page.goto(f"{address}/?recipe={link}")
    page.get_by_role("button", name="Run Shortcut").first.wait_for()
    return page


def shown(page, text):
    page.wait_for_function("(text) => document.body.innerText.includes(text)", arg=text)
    assert page.locator(MADE_OF_IT).count() == 0


def test_text_is_shown_as_typed_everywhere(context, address):
    """Titles of models in headings, legends, hovers and lists; prompts; errors that quote them."""
    experts = [{"model": "local/mine"}, {"model": "local/mine"}]
    recipe = make_recipe({"domain": "pictures", "experts": experts, "levels": {"steps": 3}, "batch": 4})
    page = open_with(context, address, recipe.to_link())
    shown(page, SHORT)  # the list of experts
    page.keyboard.press("Control+Enter")
    page.get_by_text("Finished ·").wait_for()
    shown(page, f"2 {SHORT}")  # the heading's legend
    page.get_by_role("radio", name="Curves").click()
    page.get_by_text("Weights κ", exact=True).wait_for()  # the curves are there
    page.locator(".js-plotly-plot .nsewdrag").first.hover()
    page.wait_for_function(
        "(text) => [...document.querySelectorAll('.hoverlayer text')].some((one) => one.textContent.includes(text))",
        arg=SHORT,
    )
    assert page.locator(".legendtext").first.text_content() == f"1 {SHORT}"[:27].rstrip() + "…"
    page.close()

    # A prompt, before it runs, and what a formula says of it; then a formula that is none.
    prompts = {"domain": "prompts", "experts": [{"model": "hub/a/b", "prompt": NASTY}], "batch": 1}
    page = open_with(context, address, link_of(prompts | {"operator": {"name": "formula", "text": "1^2"}}))
    shown(page, f"{NASTY} to the power 2")
    page.get_by_label("Formula", exact=True).fill(NASTY)
    page.locator("[role=alert]").first.wait_for()
    shown(page, NASTY[4:40])
    page.close()

    # An error that quotes what was asked for.
    terms = [{"model": "molecules", "prompt": NASTY.replace(",", "")}]
    page = open_with(context, address, link_of({"domain": "molecules", "experts": terms}))
    page.get_by_role("alert").first.wait_for()
    shown(page, NASTY[:50])  # as much of it as the sentence quotes
    page.close()


def test_numbers_of_a_link_are_shown_to_the_last_digit(context, studio):
    levels = {"steps": 3, "lowest": 1e-9, "highest": 1.0000000001}
    operator = {"name": "fixed", "weights": [1 / 3, 2 / 3]}
    recipe = make_recipe(
        {"domain": "plane", "experts": [{"model": "ring"}, {"model": "grid"}], "levels": levels, "operator": operator}
    )
    page = open_with(context, studio, recipe.to_link())
    page.get_by_text("Sampling", exact=True).first.click()
    for label, value in (("Lowest level s", 1e-9), ("Highest level s", 1.0000000001)):
        field = page.get_by_label(label, exact=True)
        field.wait_for()
        assert float(field.input_value()) == value
    fields = page.locator("[class*='st-key-f-weight'] input")
    fields.nth(1).wait_for()  # the form may be drawn anew meanwhile
    weights = [float(one.input_value()) for one in fields.all()]
    assert weights == [1 / 3, 2 / 3]
    page.close()
