"""The queue in a real browser: two tabs add to it, its order is changed, one is cancelled, all others end."""

import pytest

from superdiff_engine.domains.checked import make_recipe
from tests.browser.conftest import ROOT, serving

pytestmark = pytest.mark.browser

MOUNTED = "() => window.superdiffQueue && window.superdiffQueue.send && location.search.includes('recipe=')"
LINE = """(text) => {
    const host = document.querySelector('.st-key-queue');
    const find = (node) => node.querySelector('.line') || [...node.querySelectorAll('*')]
        .map((one) => one.shadowRoot && find(one.shadowRoot)).find(Boolean);
    const line = host && find(host);
    return line && new RegExp(text).test(line.textContent);
}"""


SHOWN = "(count) => (new URLSearchParams(location.search).get('run') || '').split(',').length === count"
TOLD = "() => window.superdiffQueue.told"


def link(seed, steps):
    experts = [{"model": "overlap_a"}, {"model": "overlap_b"}]
    recipe = {"domain": "plane", "experts": experts, "levels": {"steps": steps}, "batch": 4, "seed": seed}
    return "?recipe=" + make_recipe(recipe).to_link()


def open_tab(context, address, seed, steps):
    page = context.new_page()
    page.goto(f"{address}/{link(seed, steps)}")
    page.wait_for_function(MOUNTED)
    page.get_by_role("button", name="Run Shortcut").first.wait_for()  # a press counts from then on
    return page


def seeds(page):
    """The seeds of the panel's rows, in order."""
    titles = page.locator(".st-key-queue .row .title").all_inner_texts()
    return [title.rsplit(" ", 1)[1] for title in titles]


def test_two_tabs_queue_ten_runs_reorder_cancel_and_all_others_end(context, tmp_path):
    errors = []
    with serving(ROOT / "studio" / "app.py", tmp_path) as address:
        first, second = open_tab(context, address, 100, 10_000), open_tab(context, address, 200, 3)
        for page in (first, second):
            page.on("pageerror", lambda error: errors.append(str(error)))
        first.bring_to_front()
        first.keyboard.press("Control+Enter")  # the long one, behind which all others stand
        first.wait_for_function(LINE, arg="1 running")
        first.wait_for_function("() => /^\\(1\\) \\d+ % /.test(document.title)")
        second.bring_to_front()
        for _ in range(3):  # by mouse and keyboard, each press a run
            second.get_by_role("button", name="Run Shortcut").first.click()
            second.keyboard.press("Control+Enter")
            second.keyboard.press("Control+Enter")
        second.wait_for_function(LINE, arg="1 running, 9 waiting")
        second.locator(".st-key-queue .line").click()
        rows = second.locator(".st-key-queue .row")
        rows.nth(9).wait_for()
        assert seeds(second) == ["100", *["200"] * 9] and rows.nth(0).inner_text().count("another tab") == 1
        ids = rows.evaluate_all("(all) => all.map((row) => row.dataset.key)")
        # Each press counts once, however close it is to the next.
        rows.nth(9).get_by_role("button", name="First").click()
        rows.nth(2).get_by_role("button", name="One place later").wait_for()
        order = [ids[0], ids[9], *ids[1:9]]
        row = second.locator(f'.row[data-key="{ids[4]}"]')
        for _ in range(3):
            row.get_by_role("button", name="One place earlier").click()
        order.remove(ids[4])
        order.insert(2, ids[4])

        def ordered():
            return rows.evaluate_all("(all) => all.map((row) => row.dataset.key)") == order

        for _ in range(200):
            if ordered():
                break
            second.wait_for_timeout(100)
        assert ordered()
        second.locator(f'.row[data-key="{ids[1]}"]').get_by_role("button", name="Cancel").click()
        second.wait_for_function(LINE, arg="1 running, 8 waiting")
        # The other tab ends the long one, and everything goes on to its end.
        rows.nth(0).get_by_role("button", name="Cancel").click()
        second.get_by_role("button", name="Compare", exact=True).wait_for()
        second.wait_for_function(LINE, arg="empty")
        second.locator(".st-key-queue .text", has_text="Finished").nth(7).wait_for()
        second.get_by_role("button", name="Compare", exact=True).click()
        second.wait_for_function(SHOWN, arg=6)
        first.wait_for_function(LINE, arg="empty")
        assert first.title() == second.title() == "SuperDiff Studio"
        assert (first.evaluate(TOLD), second.evaluate(TOLD)) == (1, 1)
    assert errors == []
