"""Presentation mode at 1280 x 720 in a real browser: all that a run shows is in sight at once, in every domain."""

import os
from pathlib import Path

import pytest

from superdiff_engine.domains import domains, get_domain
from superdiff_engine.domains.checked import make_recipe

pytestmark = pytest.mark.browser

MOUNTED = "() => window.superdiffTab && window.superdiffTab.tell && location.search.includes('recipe=')"
#: Enough for the page to see the run before it has ended.
STEPS = {"plane": 80, "pictures": 40, "prompts": 8, "molecules": 30, "proteins": 20}
#: The others too where SUPERDIFF_ALL is set: a minute more.
SHOWN = [one.name for one in domains().values()] if os.environ.get("SUPERDIFF_ALL") else ["plane", "molecules"]
# What would have to be scrolled to be seen, of the page and its panes, and what lies outside the window.
HIDDEN = """() => {
    const page = document.scrollingElement;
    const panes = [...document.querySelectorAll('[data-testid=stMain], [data-testid=stColumn]')]
        .filter((one) => /auto|scroll/.test(getComputedStyle(one).overflowY));
    const scrolled = [page, ...panes].flatMap((one) =>
        [one.scrollHeight - one.clientHeight, one.scrollWidth - one.clientWidth]);
    const drawn = [...document.querySelectorAll('.st-key-stage-pane :is(canvas, img, p, button)')]
        .map((one) => one.getBoundingClientRect()).filter((box) => box.width && box.height);
    return Math.max(...scrolled, ...drawn.map((box) => Math.max(box.bottom - innerHeight, box.right - innerWidth)));
}"""
# The smallest letters of what stands on the stage, in pixels.
LETTERS = """() => Math.min(...[...document.querySelectorAll('.st-key-stage-pane :is(p, button)')]
    .filter((one) => one.offsetParent && one.innerText.trim())
    .map((one) => parseFloat(getComputedStyle(one).fontSize)))"""


def all_in_sight(page, domain, what):
    """Nothing has to be scrolled, nothing of the form and the navigation is there, and the letters are large."""
    folder = os.environ.get("SUPERDIFF_SHOTS")
    if folder:  # for those who want to look
        page.wait_for_timeout(1500)
        page.screenshot(path=Path(folder) / f"present_{domain}_{what}.png")
    # A window that software draws has few frames, and what waits for one keeps its size: a picture makes one.
    for _ in range(40):
        page.wait_for_timeout(500)
        page.screenshot()
        if page.evaluate(HIDDEN) <= 1:
            break
    page.wait_for_timeout(500)
    assert page.evaluate(HIDDEN) <= 1
    assert page.evaluate(LETTERS) >= 20
    for gone in ("stHeader", "stSidebar"):
        assert not page.get_by_test_id(gone).is_visible()
    for gone in (".st-key-form-pane", ".st-key-queue", "[class*='st-key-save-']", ".page-help"):
        assert not page.locator(gone).first.is_visible()


def paused(page, wanted):
    """Press until the bar says so: a page that is just being drawn may miss a key."""
    button = page.locator(".transport-pause")
    for _ in range(30):
        if button.count() == 0 or ("Continue" in button.first.inner_text()) == wanted:
            return
        page.keyboard.press("p")
        page.wait_for_timeout(1500)


@pytest.fixture
def window(chromium):
    context = chromium.new_context(viewport={"width": 1280, "height": 720})
    context.set_default_timeout(60_000)
    page, errors = context.new_page(), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    assert errors == []
    context.close()


@pytest.mark.parametrize("domain", SHOWN)
def test_live_samples_and_replay_are_in_sight_at_once(window, studio, domain):
    page = window
    recipe = next(iter(get_domain(domain).examples().values())).model_dump()
    recipe["levels"]["steps"], recipe["batch"] = STEPS[domain], 300 if domain == "plane" else 4
    page.goto(f"{studio}/?recipe={make_recipe(recipe).to_link()}")
    page.wait_for_function(MOUNTED)
    page.get_by_role("button", name="Run Shortcut").first.wait_for()  # a press counts from then on
    page.keyboard.press("Control+Enter")
    page.locator(".transport-pause").wait_for()
    paused(page, True)  # as soon as it is there: it stands still at its first steps
    page.keyboard.press("f")
    page.locator(".st-key-presented").wait_for()
    all_in_sight(page, domain, "live")
    page.locator(".transport input").press("End")
    paused(page, False)
    page.locator(".st-key-view").wait_for()
    all_in_sight(page, domain, "samples")
    page.keyboard.press("2")
    page.get_by_role("region", name="Replay").wait_for()
    all_in_sight(page, domain, "replay")
    page.keyboard.press("Escape")
    page.locator(".st-key-form-pane").wait_for()
    page.wait_for_function("() => !document.documentElement.dataset.present")


def test_a_presentation_outlives_a_reload_and_its_button_leaves_it(window, studio):
    page = window
    page.goto(studio)
    page.wait_for_function(MOUNTED)
    page.get_by_role("button", name="Present").click()
    page.wait_for_function("() => document.documentElement.dataset.present === 'on'")
    page.reload()
    page.wait_for_function(MOUNTED)
    page.wait_for_function("() => document.documentElement.dataset.present === 'on'")
    # Larger on a larger window.
    scale = "() => Number(document.documentElement.style.getPropertyValue('--studio-scale'))"
    before = page.evaluate(scale)
    page.set_viewport_size({"width": 1920, "height": 1080})
    page.wait_for_function(f"(before) => ({scale})() > 1.4 * before", arg=before)
    page.get_by_role("button", name="Leave the presentation").click()
    page.locator(".st-key-form-pane").wait_for()
    assert page.evaluate(scale) == 0
