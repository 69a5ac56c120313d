"""Form and stage as two panes, and the keyboard, in a real browser."""

import re

import pytest

from superdiff_engine.domains import get_domain
from superdiff_engine.domains.checked import make_recipe

pytestmark = pytest.mark.browser

PANES = """() => ["form", "stage"].map((name) => {
    const pane = document.querySelector(`.st-key-${name}-pane`).closest("[data-testid=stColumn]");
    return [pane.scrollTop, pane.scrollHeight - pane.clientHeight];
})"""
STILL = "() => document.querySelector('[data-testid=stApp]').dataset.testScriptState === 'notRunning'"
#: The scripts come last, once the page has been drawn.
LISTENS = "() => window.superdiffTab && window.superdiffPage?.data && location.search.includes('recipe=')"
PAGE = "() => document.querySelector('[data-testid=stMain]').scrollTop + document.scrollingElement.scrollTop"
#: What would catch the wheel between the panes and what they show; tables scroll by themselves.
BOXES = """() => [...document.querySelectorAll(".st-key-panes [data-testid=stColumn] *")].filter((one) =>
    /auto|scroll/.test(getComputedStyle(one).overflowY) && one.scrollHeight > one.clientHeight + 1
    && !one.closest(".dvn-scroller")).length"""
#: A slow page: what comes behind the first message that holds `window.slowAfter` waits until `window.slowUntil` is
#: "sent" and the page has told the server something.
SLOW = """(() => {
    let before = Promise.resolve();
    const text = new TextDecoder("latin1");
    const add = WebSocket.prototype.addEventListener;
    WebSocket.prototype.addEventListener = function (type, take, ...others) {
        const later = (event) => {
            before = before.then(() => {
                take(event);
                if (!window.slowAfter || !text.decode(event.data).includes(window.slowAfter)) return;
                window.slowAfter = "";
                return new Promise((go) => { window.goOn = go; });
            });
        };
        add.call(this, type, type === "message" ? later : take, ...others);
    };
    const send = WebSocket.prototype.send;
    WebSocket.prototype.send = function (what) {
        send.call(this, what);
        if (window.slowUntil === "sent") window.goOn();
    };
})()"""
#: Two keys so soon after each other that Streamlit's page tells the server of both at once.
TOGETHER = """(keys) => keys.forEach((key) => setTimeout(() => document.body.dispatchEvent(
    new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true })), 0))"""


@pytest.fixture
def tab(context, studio):
    """A tab with a short run of the plane, and room for half of it."""
    recipe = next(iter(get_domain("plane").examples().values())).model_dump() | {"levels": {"steps": 5}, "batch": 32}
    page = context.new_page()
    page.set_viewport_size({"width": 1280, "height": 600})
    page.add_init_script(SLOW)
    page.goto(f"{studio}/?recipe={make_recipe(recipe).to_link()}")
    page.wait_for_function(LISTENS)
    page.get_by_role("button", name="Run Shortcut").first.wait_for()  # a press counts from then on
    page.keyboard.press("Control+Enter")
    page.get_by_text("Finished ·").wait_for()
    page.get_by_role("button", name="Run beside").wait_for()
    yield page
    page.close()


def wheel(page, x, by):
    """Turn the wheel over (x, 400) and say how far the panes have moved then, in pixels."""
    page.mouse.move(x, 400)
    before = page.evaluate(PANES)
    page.mouse.wheel(0, by)
    seen = [before]
    for _ in range(100):  # until something has moved and stands still
        page.wait_for_timeout(100)
        seen = [*seen[-4:], page.evaluate(PANES)]
        if len(seen) == 5 and all(one == seen[-1] != before for one in seen):
            break
    return [top for top, _ in seen[-1]]


def test_the_panes_scroll_by_themselves_and_the_page_does_not(tab):
    tab.get_by_text("Sampling", exact=True).click()
    tab.get_by_text("Save a record of each run").wait_for()
    (form, to_form), (_, to_stage) = tab.evaluate(PANES)
    assert to_form > 100 and to_stage > 100 and tab.evaluate(BOXES) == 0
    _, stage = wheel(tab, 900, 150)
    assert stage == 150
    form, stage = wheel(tab, 150, 90)
    assert form >= 90 and stage == 150
    # At a pane's end the wheel moves nothing else.
    assert wheel(tab, 150, 100_000)[1] == 150 and tab.evaluate(PAGE) == 0
    # The keyboard: what has the focus is in sight above Run.
    tab.get_by_label("Steps", exact=True).focus()
    for _ in range(12):
        tab.keyboard.press("Tab")
        found = tab.evaluate(
            """() => {
                const box = document.activeElement.getBoundingClientRect();
                const run = document.querySelector(".st-key-run-bar").getBoundingClientRect();
                const inside = document.querySelector(".st-key-run-bar").contains(document.activeElement);
                return inside || (box.top >= 0 && box.top < run.top);
            }"""
        )
        assert found
    # Without a focus, keys scroll the pane that was pointed at last.
    tab.mouse.click(1000, 580)
    tab.evaluate("() => document.activeElement.blur()")
    tab.keyboard.press("Home")
    tab.wait_for_timeout(250)
    assert tab.evaluate(PANES)[1][0] == 0


def test_keys_choose_views_and_samples_but_never_while_typing(tab):
    seed = tab.locator(".st-key-seed-row input")
    tab.locator("[class*='st-key-pick-'] input").wait_for()
    tab.wait_for_function(STILL)
    tab.keyboard.press("]")
    tab.wait_for_function("() => document.querySelector('[class*=st-key-pick-] input').value === '1'")
    tab.keyboard.press("3")
    tab.get_by_text("against the level").wait_for()
    tab.wait_for_function("() => location.search.includes('view=curves')")
    tab.get_by_text("against the step").click()

    # Another run has the same view, and the same choices there.
    tab.get_by_text("Sampling", exact=True).click()
    seed.fill("4")
    tab.keyboard.type("321.?")
    tab.wait_for_timeout(300)
    assert seed.input_value() == "4321.?" and not tab.locator(".page-shortcuts").is_visible()
    seed.fill("4321")
    tab.keyboard.press("Control+Enter")
    tab.get_by_text(re.compile("Finished · .* seed 4321")).wait_for()
    checked = tab.get_by_role("radio", checked=True)
    for name in ("Curves", "against the step"):
        checked.filter(has_text=name).wait_for()
    tab.reload()
    tab.get_by_text("against the level").wait_for()
    tab.wait_for_function(LISTENS)

    tab.keyboard.press("?")
    listed = tab.get_by_role("dialog", name="Keyboard")
    listed.wait_for()
    assert listed.locator("tr").count() >= 10
    tab.keyboard.press("1")  # nothing happens below it
    tab.keyboard.press("Escape")
    listed.wait_for(state="hidden")
    tab.get_by_text("against the level").wait_for()
    tab.keyboard.press(".")
    tab.get_by_text("Start from an example").wait_for(state="hidden")
    tab.get_by_role("button", name="Take the settings out").click()
    tab.get_by_text("Start from an example").wait_for()


def test_a_slow_page_loses_no_choice(tab):
    for key, view in (("4", "table"), ("3", "curves")):
        tab.keyboard.press("1")
        tab.locator("[class*='st-key-pick-'] input").wait_for()
        tab.wait_for_function(STILL)
        tab.evaluate(TOGETHER, ["]", key])
        tab.wait_for_function("(view) => location.search.includes(`view=${view}`)", arg=view)
    tab.get_by_text("against the step").click()
    checked = tab.get_by_role("radio", checked=True)
    checked.filter(has_text="against the step").wait_for()
    tab.wait_for_function(STILL)
    # A view is asked for again before the browser has taken in that it is gone, and still tells of its controls.
    tab.evaluate("() => { window.slowAfter = '-pick-'; }")
    tab.keyboard.press("1")
    tab.wait_for_function("() => window.goOn")
    tab.wait_for_timeout(1000)  # until the server has drawn all of it
    tab.evaluate("() => { window.slowUntil = 'sent'; }")
    tab.keyboard.press("3")
    tab.wait_for_function("() => location.search.includes('view=curves')")
    tab.get_by_text("against the level").wait_for()
    tab.wait_for_function(STILL)
    for name in ("Curves", "against the step"):
        checked.filter(has_text=name).wait_for()
