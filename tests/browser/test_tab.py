"""A tab at 1280 x 800: where Run is, what Ctrl+Enter does, what outlives reloads, changes of page and the server."""

import re
from urllib.parse import parse_qs, urlparse

import pytest

from superdiff_engine.domains import domains
from superdiff_engine.domains.checked import recipe_from_link
from tests.browser.conftest import PATIENCE, ROOT, serving

pytestmark = pytest.mark.browser

ANOTHER = r"""(seed) => {
    const found = document.body.innerText.match(/steps in .* seed (\d+)/);
    return found && found[1] !== seed;
}"""
OVERFLOW = "(row) => [getComputedStyle(row).overflowX, getComputedStyle(row).overflowY]"
CONNECTED = "() => document.querySelector('[data-testid=stApp]').dataset.testConnectionState === 'CONNECTED'"
STILL = "() => document.querySelector('[data-testid=stApp]').dataset.testScriptState === 'notRunning'"
CHOICES = "document.querySelectorAll('[class*=st-key-f-prompt-] input[role=combobox]').length"
# The form, the stage and the page, whichever of them scroll.
SCROLLED = """(y) => {
    for (const one of document.querySelectorAll("[data-testid=stMain], [data-testid=stColumn]")) one.scrollTo(0, y);
}"""

# A press in the very frame in which the button is seen, most of the page not being there yet.
EARLY = """() => {
    const look = () => {
        const button = document.querySelector(".st-key-run button");
        if (!button?.checkVisibility({visibilityProperty: true})) return requestAnimationFrame(look);
        window.pressedEarly = true;
        HOW
    };
    look();
}"""
KEY = """document.body.dispatchEvent(
    new KeyboardEvent("keydown", {key: "Enter", code: "Enter", ctrlKey: true, bubbles: true})
);"""


@pytest.fixture
def tab(context):
    page = context.new_page()
    page.set_viewport_size({"width": 1280, "height": 800})
    yield page
    page.close()


def ready(page, address):
    page.goto(address)
    page.get_by_role("button", name="Run Shortcut").first.wait_for()
    # The script of the tab is mounted once the page has been drawn to its end.
    page.wait_for_function("() => window.superdiffTab && location.search.includes('recipe=')")


def address_with(page, holds):
    """The recipe in the address line, once it is as it should be; that follows at the end of a turn of the page."""
    for _ in range(PATIENCE // 100):
        recipe = recipe_from_link(parse_qs(urlparse(page.url).query)["recipe"][0])
        if holds(recipe):
            return recipe
        page.wait_for_timeout(100)
    raise AssertionError(recipe)


def test_the_form_fits_and_control_enter_runs_wherever_the_focus_is(tab, studio):
    ready(tab, studio)
    boxes = [
        tab.locator(".st-key-f-domain").get_by_role("radio", name=one.title, exact=True).bounding_box()
        for one in domains().values()
    ]
    assert len(boxes) == len(domains()) and len({box["y"] for box in boxes}) <= 2
    rows = tab.locator("[class*='st-key-expert-']")
    assert rows.count() == 2
    for row in rows.all():
        assert row.evaluate(OVERFLOW) == ["visible"] * 2
    tab.get_by_text("Sampling", exact=True).click()
    tab.get_by_label("Steps", exact=True).fill("5")
    tab.keyboard.press("Enter")
    run = tab.get_by_role("button", name="Run Shortcut").first
    tab.get_by_text("Save a record of each run").wait_for()
    for place in (0, 300, 100_000):
        tab.evaluate(SCROLLED, place)
        box = run.bounding_box()
        assert box["y"] > 0 and box["y"] + box["height"] <= 800
    # Every run has a new seed, by which it is told apart from the one before.
    tab.get_by_text("Keep this seed").click()
    seed = None

    def mode_of_ones_own():
        """A cell of the table of modes, still being edited."""
        tab.locator("[class*='st-key-f-model-'] input").first.click()
        tab.keyboard.type("Your own")
        tab.keyboard.press("Enter")
        cells = tab.locator("[data-testid='stDataFrame'] canvas").first
        cells.wait_for()
        tab.evaluate(SCROLLED, 0)
        tab.wait_for_timeout(1000)  # the table is drawn where it will stay
        box = cells.bounding_box()
        tab.mouse.dblclick(box["x"] + 40, box["y"] + 52)
        tab.locator(".gdg-input").wait_for()
        tab.keyboard.type("-3")

    for place in (
        lambda: tab.mouse.click(900, 790),
        lambda: tab.get_by_label("Steps", exact=True).fill("7"),
        lambda: tab.locator(".st-key-f-operator").get_by_text("Average").click(),
        lambda: tab.locator(".st-key-f-domain").get_by_role("radio", name="Plane").click(),
        lambda: tab.locator(".st-key-f-seed input").click(),
        lambda: tab.get_by_text("Curves", exact=True).click(),
        mode_of_ones_own,
    ):
        place()
        tab.keyboard.press("Meta+Enter" if place is mode_of_ones_own else "Control+Enter")
        tab.wait_for_function(ANOTHER, arg=seed)
        seed = re.search(r"steps in .* seed (\d+)", tab.locator("body").inner_text())[1]
    tab.get_by_text("7 of 7 steps").wait_for()  # one alone, or this raises
    recipe = address_with(tab, lambda recipe: str(recipe.seed) == seed)
    assert recipe.levels.steps == 7
    assert recipe.experts[0].mixture.means[0] == [-3.0, 0.0]
    # Two presses count twice, and a held key once.
    asked = tab.evaluate("() => window.superdiffPresses.asked")
    tab.keyboard.down("Control")
    tab.keyboard.press("Enter")
    tab.keyboard.down("Enter")
    tab.keyboard.down("Enter")
    tab.keyboard.up("Enter")
    tab.keyboard.up("Control")
    tab.wait_for_function(ANOTHER, arg=seed)
    assert tab.evaluate("() => window.superdiffPresses.asked") == asked + 2


@pytest.mark.parametrize("how", [KEY, "button.click();"], ids=["key", "click"])
def test_a_press_counts_from_the_moment_at_which_the_button_is_seen(tab, studio, how):
    """A page comes piece by piece, over seconds on a slow machine, and who knows it presses as soon as he can."""
    tab.add_init_script(f"({EARLY.replace('HOW', how)})()")
    tab.goto(studio)
    tab.get_by_text("Finished ·").wait_for()
    assert tab.evaluate("() => [window.pressedEarly, window.superdiffPresses.asked]") == [True, 1]


def test_run_and_form_outlive_pages_reloads_and_the_server(tab, tmp_path):
    def there():
        tab.get_by_text("9 of 9 steps").wait_for()
        tab.wait_for_function("() => location.search.includes('run=')")
        address_with(tab, lambda recipe: recipe.levels.steps == 11)
        assert tab.locator("[data-testid='stSidebarNav']").count() == 0

    def guide():
        tab.get_by_text("Where it comes from").wait_for()
        tab.wait_for_function("() => location.search.includes('run=')")

    with serving(ROOT / "studio" / "app.py", tmp_path) as address:
        ready(tab, address)
        tab.get_by_text("Sampling", exact=True).click()
        tab.get_by_label("Steps", exact=True).fill("9")
        tab.keyboard.press("Control+Enter")
        tab.get_by_text("9 of 9 steps").wait_for()
        # The form may differ from the run.
        tab.get_by_label("Steps", exact=True).fill("11")
        tab.keyboard.press("Enter")
        there()
        tab.get_by_role("link", name="Guide").click()
        guide()
        tab.go_back()
        there()
        tab.go_forward()
        guide()
        tab.reload()
        guide()
        tab.get_by_role("link", name="Compose").click()
        there()
        tab.reload()
        there()
        tab.goto("about:blank")
        tab.go_back()
        there()
        # Its scripts come one by one; what had not come when the server ended would never be there.
        tab.get_by_role("button", name="Run beside").wait_for()
        tab.wait_for_load_state("networkidle")
    tab.evaluate(
        """() => {
            window.menus = 0;
            const look = () => { window.menus += document.querySelectorAll('[data-testid=stSidebarNav]').length; };
            new MutationObserver(look).observe(document.body, {childList: true, subtree: true});
        }"""
    )
    with serving(ROOT / "studio" / "app.py", tmp_path, int(address.rsplit(":", 1)[1])):
        tab.wait_for_function(CONNECTED)
        tab.wait_for_timeout(1000)
        tab.wait_for_function(STILL)
        tab.get_by_role("button", name="Run beside").wait_for()
        there()
        tab.get_by_role("button", name="Run beside").click()
        tab.wait_for_function("() => (document.body.innerText.match(/9 steps in/g) || []).length === 2")
        assert tab.evaluate("() => window.menus") == 0


def test_another_text_model_keeps_the_prompts(tab, studio):
    ready(tab, studio)
    tab.locator(".st-key-f-domain").get_by_role("radio", name="Prompts").click()
    first, second = (tab.get_by_label(f"Prompt {place}", exact=True) for place in (1, 2))
    first.wait_for(timeout=120_000)
    kept = second.input_value()
    first.click()
    tab.keyboard.type("a red lantern")
    tab.keyboard.press("Enter")
    tab.wait_for_function(STILL)
    for model, choices in (("hub/somebody/something", 0), ("Emoji", 2)):
        tab.locator(".st-key-f-text_model input").click()
        tab.keyboard.type(model)
        tab.keyboard.press("Enter")
        # Fields for any text, or choices of what the model knows.
        tab.wait_for_function(f"() => {CHOICES} === {choices}")
        tab.wait_for_function(STILL)
        assert [first.input_value(), second.input_value()] == ["a red lantern", kept]
