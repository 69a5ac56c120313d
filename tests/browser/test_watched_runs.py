"""The pace of a run in a real browser, in three domains: paused, step by step, slowed, and let go.

One of them computes on all cores, and is therefore looked at seldom while it does.
"""

import re
import time

import psutil
import pytest

from superdiff_engine.domains.checked import make_recipe
from tests.browser.conftest import ROOT, serving

pytestmark = pytest.mark.browser

MOUNTED = "() => window.superdiffTab && window.superdiffTab.tell && location.search.includes('recipe=')"
STEP = r"""(least) => {
    const found = document.querySelector('.st-key-live')?.innerText.match(/(Paused|Running): step (\d+) of/);
    return found && Number(found[2]) >= least && [found[1], Number(found[2])];
}"""
# A key in the very moment in which the live view is there, before the pace's own script.
EARLY = """() => {
    const watching = new MutationObserver(() => {
        if (!document.querySelector(".st-key-live")) return;
        watching.disconnect();
        window.early = document.querySelector(".transport-pause:enabled") === null;
        document.body.dispatchEvent(new KeyboardEvent("keydown", {key: "p", bubbles: true}));
    });
    watching.observe(document.body, {childList: true, subtree: true});
}"""
RECIPES = {
    "plane": {"experts": [{"model": "overlap_a"}, {"model": "overlap_b"}]},
    "pictures": {"experts": [{"model": "garments_a"}, {"model": "garments_b"}]},
    "molecules": {"experts": [{"model": "molecules", "prompt": "high TPSA"}]},
}


def where(page, least=0):
    """(state, step) that the live view says, once the step is at least this."""
    return page.wait_for_function(STEP, arg=least).json_value()


@pytest.fixture(scope="module")
def busy_studio(tmp_path_factory):
    """A studio whose runs take all cores."""
    threads = psutil.cpu_count()
    with serving(ROOT / "studio" / "serve.py", tmp_path_factory.mktemp("busy"), threads=threads) as address:
        yield address


@pytest.mark.parametrize("domain, server", [("plane", "studio"), ("molecules", "studio"), ("pictures", "busy_studio")])
def test_a_run_is_paused_stepped_slowed_and_let_go(context, request, domain, server):
    studio = request.getfixturevalue(server)
    recipe = {"domain": domain, "levels": {"steps": 1500}, "batch": 4, "seed": 1} | RECIPES[domain]
    page, errors = context.new_page(), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{studio}/?recipe={make_recipe(recipe).to_link()}")
    page.wait_for_function(MOUNTED)
    page.get_by_role("button", name="Run Shortcut").first.wait_for()  # a press counts from then on
    page.keyboard.press("Control+Enter")
    where(page, 1)
    page.keyboard.press("p")
    page.get_by_role("button", name="Continue").wait_for()
    page.get_by_text("Paused: step").wait_for()
    state, stood = where(page)
    for _ in range(20):  # the step that was being taken is its last
        before = stood
        page.wait_for_timeout(1000)
        state, stood = where(page)
        if stood == before:
            break
    page.wait_for_timeout(400)
    assert (state, stood) == ("Paused", where(page)[1])
    # Each press counts once, however close it is to the next; by key and by mouse.
    for _ in range(3):
        page.keyboard.press("n")
    page.get_by_role("button", name="One step").click()
    assert where(page, stood + 4) == ["Paused", stood + 4]
    page.wait_for_timeout(400)
    assert where(page) == ["Paused", stood + 4]
    # Slowed to a step a second by the slider's key, and let go: the steps keep to the clock.
    slider = page.get_by_role("slider", name="Speed")
    slider.focus()
    page.keyboard.press("Home")
    page.locator(".transport-rate", has_text=re.compile("^1 step/s$")).wait_for()
    assert slider.get_attribute("aria-valuetext") == "1 step/s"
    began = time.monotonic()
    page.keyboard.press("p")
    where(page, stood + 6)
    state, now = where(page)
    # However late it is seen: the first step is due at once, every other after a second.
    assert state == "Running" and now - stood - 4 <= time.monotonic() - began + 1
    # As fast as it can again: quicker than the eye.
    page.keyboard.press("End")
    page.locator(".transport-rate", has_text="as fast as it can").wait_for()
    where(page, now + 20)
    page.get_by_role("button", name="Cancel").click()
    page.get_by_text("Cancelled at step").wait_for()
    assert errors == []
    page.close()


def test_a_key_counts_from_the_live_views_first_moment(context, studio):
    recipe = {"domain": "plane", "levels": {"steps": 3000}, "batch": 4} | RECIPES["plane"]
    page, fetched = context.new_page(), []
    page.goto(f"{studio}/?recipe={make_recipe(recipe).to_link()}")
    page.wait_for_function(MOUNTED)
    page.get_by_role("button", name="Run Shortcut").first.wait_for()
    page.wait_for_load_state("networkidle")
    page.on("request", lambda request: fetched.append(request.url) if request.url.endswith(".js") else None)
    page.evaluate(EARLY)
    page.keyboard.press("Control+Enter")
    page.get_by_role("button", name="Continue").wait_for()
    page.get_by_text("Paused: step").wait_for()
    assert page.evaluate("() => window.early")
    assert not fetched  # a first run waits for no further code
    page.get_by_role("button", name="Cancel").click()
    page.get_by_text("Cancelled at step").wait_for()
    page.close()
