"""The plane from Run to an exported PNG, as a user would do it."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from studio.form.upload import recipe_from_file
from superdiff_engine.domains import domains, get_domain
from superdiff_engine.domains.checked import make_recipe

pytestmark = pytest.mark.browser

# Every node that a live chart, preview or progress bar draws on; each gets a mark that a remount would lose.
MARK = """() => {
    const parts = [...document.querySelectorAll('[data-testid="stEChartsChart"] canvas, [data-testid="stProgress"], ' +
        '.st-key-live [data-testid="stBidiComponentIsolated"]')];
    parts.forEach((part, place) => { part.dataset.mark = String(place); });
    window.removed = 0;
    new MutationObserver((changes) => {
        for (const change of changes)
            for (const node of change.removedNodes)
                if (node.dataset?.mark || node.querySelector?.('[data-mark]')) window.removed += 1;
    }).observe(document.body, {childList: true, subtree: true});
    return parts.length;
}"""
MARKS = "() => document.querySelectorAll('[data-mark]').length"
PROGRESS = re.compile(r"step \d+ of \d+")


def link(steps, operator="and", domain="plane", batch=64):
    """The query of a recipe with as many steps as a test needs time."""
    recipe = next(iter(get_domain(domain).examples().values())).model_dump()
    recipe |= {"levels": {"steps": steps}, "operator": {"name": operator}, "batch": batch}
    return "?recipe=" + make_recipe(recipe).to_link()


def long_run():
    """The query of a recipe that takes half a minute of a fast core, so that it outlasts the load of a second page."""
    return link(10_000, batch=4096)


def open_with(context, studio, query):
    page = context.new_page()
    page.goto(studio + "/" + query)
    page.get_by_role("button", name="Run Shortcut").first.wait_for()
    return page


def save(download, folder):
    target = folder / Path(download.value.suggested_filename).name
    download.value.save_as(target)
    return target


def step_now(page):
    return int(re.search(r"step (\d+) of", page.get_by_text(PROGRESS).first.inner_text())[1])


def wait_for_next_step(page, after):
    page.wait_for_function(
        """(after) => {
            const found = document.body.innerText.match(/step (\\d+) of/);
            return found && Number(found[1]) > after;
        }""",
        arg=after,
    )
    return step_now(page)


def test_from_run_to_exported_png(page, context, tmp_path):
    """Ctrl+Enter runs the example to its end; the PNG holds its recipe; nothing was asked of the network."""
    page.keyboard.press("Control+Enter")
    page.get_by_text("Finished ·").wait_for()
    page.get_by_role("button", name="Save").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Scatter (PNG)").click()
    content = save(download, tmp_path).read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    assert b"superdiff_recipe" in content
    assert recipe_from_file(content) == next(iter(get_domain("plane").examples().values())).model_copy(
        update={"levels": recipe_from_file(content).levels}
    )
    assert re.fullmatch(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{8}-samples\.png", Path(download.value.suggested_filename).name)
    assert context.foreign == []


def test_a_long_run_is_live_survives_a_reload_and_is_cancelled(context, studio):
    """Live charts move without being remounted; a reload finds the run again; Cancel keeps what there is."""
    page = open_with(context, studio, long_run())
    page.keyboard.press("Control+Enter")
    page.get_by_text(PROGRESS).first.wait_for()
    page.wait_for_function("() => document.querySelectorAll('[data-testid=stEChartsChart] canvas').length >= 4")
    # Charts mount one after the other; what is watched begins once all of them have been drawn.
    seen = wait_for_next_step(page, step_now(page))
    marked = page.evaluate(MARK)
    assert marked >= 6
    for _ in range(6):
        seen = wait_for_next_step(page, seen)
    assert page.evaluate(MARKS) == marked
    assert page.evaluate("() => window.removed") == 0

    page.reload()
    page.get_by_text(PROGRESS).first.wait_for()
    assert wait_for_next_step(page, seen) > seen

    page.get_by_role("button", name="Cancel").click()
    page.get_by_text("Cancelled at step").wait_for()
    page.get_by_role("button", name="Save").wait_for()
    page.close()


def test_a_second_tab_waits_its_turn(context, studio):
    """Two tabs queue for the device, and the one that waits can be cancelled."""
    first = open_with(context, studio, long_run())
    first.keyboard.press("Control+Enter")

    first.get_by_text(PROGRESS).first.wait_for()
    second = open_with(context, studio, link(20, "or"))
    second.keyboard.press("Control+Enter")
    second.get_by_text("Waiting: 1 run ahead").wait_for()
    second.locator(".st-key-live").get_by_role("button", name="Cancel").click()
    second.get_by_text("cancelled before its first step").wait_for()
    first.get_by_role("button", name="Cancel").first.click()
    first.get_by_text("Cancelled at step").wait_for()
    first.close()
    second.close()


def test_pictures_from_run_to_one_picture(context, studio, tmp_path):
    """Two embedded networks are composed; a click on a picture chooses it, and its PNG is the one of the NPZ."""
    page = open_with(context, studio, link(3, "or", "pictures", 9))
    page.keyboard.press("Control+Enter")
    page.get_by_text("Finished ·").wait_for()
    gallery = page.locator(".js-plotly-plot").first
    gallery.wait_for()
    page.wait_for_function("() => document.querySelector('.js-plotly-plot image')")
    box = gallery.bounding_box()
    # 3 x 3 pictures fill the width from the top: the middle one is number 4.
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["width"] / 2 + 10)
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["width"] / 2)
    page.mouse.down()
    page.mouse.up()
    page.get_by_alt_text("Picture 4").wait_for()
    with page.expect_download() as download:
        page.get_by_role("button", name="This picture (PNG)").click()
    one = save(download, tmp_path)
    page.get_by_role("button", name="Save").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Samples (NPZ)").click()
    denoised = np.load(save(download, tmp_path))["denoised_x"]
    assert recipe_from_file(one.read_bytes()).domain == "pictures"
    np.testing.assert_allclose(np.asarray(Image.open(one)), (denoised[4, 0].clip(-1, 1) + 1) * 127.5, atol=0.51)
    page.close()


def test_a_comparison_stands_side_by_side(context, studio):
    """Another operator on the same seed appears beside the first run."""
    page = open_with(context, studio, link(20))
    page.keyboard.press("Control+Enter")
    page.get_by_text("Finished ·").wait_for()
    page.get_by_role("button", name="Run beside").click()
    page.wait_for_function("() => (document.body.innerText.match(/20 steps in/g) || []).length === 2")
    assert page.url.count("-") >= 4  # two ids in the address line
    page.close()


def test_hostile_links_give_one_sentence(context, studio):
    """A broken link and an unknown run: a sentence each, and a page that works."""
    for query, sentence in (
        ("?recipe=AAAA<script>alert(1)</script>", "holds no valid recipe"),
        ("?run=../../etc/passwd", "is not in the library"),
    ):
        page = open_with(context, studio, query)
        page.get_by_text(sentence).wait_for()
        assert page.get_by_text("Traceback").count() == 0
        assert page.get_by_role("button", name="Run Shortcut").first.is_enabled()
        page.close()


def test_a_recipe_from_a_file(page, tmp_path):
    """An uploaded recipe fills the form; a damaged one gives a sentence and leaves the form as it was."""
    recipe = {"domain": "plane", "experts": [{"model": "ring"}, {"model": "grid"}], "operator": {"name": "average"}}
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text(json.dumps(recipe | {"seed": 4242}))
    bad.write_text(json.dumps(recipe | {"seed": -1}))
    page.get_by_text("Load a recipe").click()
    page.locator("input[type=file]").set_input_files(bad)
    page.get_by_text("The recipe is wrong at 'seed'").wait_for()
    # The uploader is replaced by a fresh one after each file.
    page.wait_for_function("() => document.querySelectorAll('input[type=file]').length === 1")
    page.locator("input[type=file]").set_input_files(good)
    page.get_by_text("The recipe is in the form").wait_for()
    page.get_by_text("All experts have the same say").wait_for()


def test_on_a_narrow_screen_the_samples_come_first_and_the_settings_are_a_drawer(page):
    """At 420 pixels: nothing sideways; Settings and Run at the foot; the drawer takes the focus and gives it back."""
    page.set_viewport_size({"width": 420, "height": 900})
    settings, form = page.get_by_role("button", name="Settings", exact=True), page.get_by_text("Start from an example")
    settings.wait_for()
    form.wait_for(state="hidden")
    settings.click()
    drawer = page.get_by_role("dialog", name="Settings")
    drawer.wait_for()
    assert page.evaluate("() => document.activeElement.getAttribute('role')") == "dialog"
    assert page.get_by_role("button", name="Close", exact=True).get_attribute("aria-expanded") == "true"
    assert page.evaluate("() => document.querySelector('.st-key-stage-pane').closest('[inert]') !== null")
    # Escape closes a list first, then the drawer.
    page.locator(".st-key-form-pane input[role=combobox]").first.click()
    page.get_by_role("listbox").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("listbox").wait_for(state="hidden")
    assert drawer.is_visible()
    page.keyboard.press("Escape")
    form.wait_for(state="hidden")
    assert page.evaluate("() => document.activeElement.className") == "page-settings"
    settings.click()
    page.get_by_role("button", name="Run Shortcut").first.click()
    form.wait_for(state="hidden")
    page.get_by_text("Finished ·").wait_for()
    page.wait_for_function("() => document.documentElement.scrollWidth <= window.innerWidth")
    tops = [page.locator(f".st-key-{key}").first.bounding_box()["y"] for key in ("view", "run-bar")]
    assert 0 < tops[0] < 450 and 750 < tops[1] < 900
    page.set_viewport_size({"width": 1440, "height": 900})
    form.wait_for()
    settings.wait_for(state="hidden")


@pytest.mark.parametrize("width", [1440, 1100, 420])
def test_every_domain_is_seen_without_scrolling(page, width):
    """What stands beyond the edge of the choice of domains would not be found."""
    page.set_viewport_size({"width": width, "height": 900})
    if width < 900:
        page.get_by_role("button", name="Settings", exact=True).click()
    # The sidebar slides away or in when the width changes: all edges are read at one moment, until they stand still.
    page.wait_for_function(
        """(titles) => {
            const choice = document.querySelector('.st-key-f-domain');
            const edge = choice.getBoundingClientRect();
            const radios = [...choice.querySelectorAll('[role=radio]')];
            return titles.every((title) => {
                const radio = radios.find((one) => one.textContent.includes(title));
                if (!radio) return false;
                const box = radio.getBoundingClientRect();
                return box.width > 0 && box.left >= edge.left - 1 && box.right <= edge.right + 1;
            });
        }""",
        arg=[domain.title for domain in domains().values()],
    )


# What a page can try: a websocket, a request whose answer it may not read, and the studio within itself.
FOREIGN = """<title>foreign</title><body><script>
const socket = new WebSocket('ws://%s/_stcore/stream', ['streamlit']);
socket.onopen = () => { document.title = 'open'; };
socket.onerror = () => { document.title = 'refused'; };
</script><iframe src="http://%s/"></iframe></body>"""


def test_a_page_of_another_port_reaches_nothing(context, studio):
    """The browser says 'same-site' of it, since ports do not part sites; its websocket and its frame are refused."""
    address = studio.removeprefix("http://")

    class Foreign(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write((FOREIGN % (address, address)).encode())

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Foreign)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    page = context.new_page()
    try:
        page.goto(f"http://127.0.0.1:{server.server_port}/")
        page.wait_for_function("document.title !== 'foreign'")
        assert page.title() == "refused"
        assert "answers no requests" in page.frame_locator("iframe").locator("body").inner_text()
    finally:
        page.close()
        server.shutdown()
