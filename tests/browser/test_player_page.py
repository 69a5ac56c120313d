"""The player in a real browser: one cursor over samples and curves, without the server; the pair in the address."""

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from superdiff_engine.runs.stored import read_record
from tests.browser.test_studio import link, open_with

pytestmark = pytest.mark.browser

DOMAINS = ("plane", "pictures", "molecules")


@pytest.fixture(scope="module")
def runs(tmp_path_factory, serve, context):
    """The page of `player_page.py` and the records of its runs, by domain."""
    folder = tmp_path_factory.mktemp("player")
    with serve(Path(__file__).parent / "player_page.py", folder) as address:
        page = context.new_page()
        page.goto(address)
        for domain in DOMAINS:
            page.locator(f".st-key-at-{domain} .player[data-step]").wait_for()
        yield page, {domain: read_record(folder / "runs" / domain) for domain in DOMAINS}
        page.close()


def player(page, domain):
    found = page.locator(f".st-key-at-{domain} .player")
    found.scroll_into_view_if_needed()
    return found


def drawn(root, moment):
    root.locator(f".scene[data-drawn='{moment}']").wait_for()


def over(page, plot, share, steps, act="move"):
    """Point at a share of a plot's axis of steps; returns the step there."""
    box = plot.bounding_box()
    left, right = 50, 16  # as in player.js
    x = box["x"] + left + share * (box["width"] - left - right)
    page.mouse.move(x, box["y"] + box["height"] / 2)
    if act == "drag":
        page.mouse.down()
        page.mouse.up()
    return share * steps


@pytest.mark.parametrize("domain", DOMAINS)
def test_hovering_a_curve_moves_samples_cursors_and_values_together(runs, domain):
    page, records = runs
    run, root = records[domain], player(page, domain)
    curves, steps = run.trace.curves(), run.recipe.levels.steps
    assert root.get_attribute("data-step") == str(steps)
    requests = []
    page.on("request", lambda request: requests.append(request.url))
    for quantity, share in (("value", 0.26), ("weights", 0.77), ("difference", 0.5)):
        step = round(over(page, root.locator(f"[data-quantity='{quantity}']"), share, steps))
        page.wait_for_function("([root, step]) => root.dataset.step === step", arg=[root.element_handle(), str(step)])
        drawn(root, step)  # every step has a moment here
        assert root.locator(".scrub").input_value() == str(step)
        assert f"step {step} of {steps}, level s = " in root.locator(".now").inner_text()
        for plot in root.locator(".plot[data-step]").all():
            assert plot.get_attribute("data-step") == str(step)
            box, cursor = plot.bounding_box(), plot.locator(".cursor").bounding_box()
            wanted = box["x"] + 50 + step / steps * (box["width"] - 66)
            assert abs(cursor["x"] + cursor["width"] / 2 - wanted) < 1.5
        said = root.locator("figure", has=page.locator("[data-quantity='value']")).locator(".values").inner_text()
        found = [float(text.replace("−", "-")) for text in said.split()]
        np.testing.assert_allclose(found, curves.mean_log_density[step], rtol=0.006, atol=0.006)
    assert not requests and page.evaluate("() => window.hit") is None
    assert "<b>note</b>" in root.locator(".note").inner_text()


def test_the_pictures_that_are_shown_are_those_of_the_moment(runs):
    page, records = runs
    root, frames = player(page, "pictures"), records["pictures"].trace.frames
    root.locator(".sample input").fill("4")
    root.locator(".controls input").check()
    for moment in (1, 3):
        root.locator(".scrub").fill(str(moment))
        drawn(root, moment)
        url = root.locator("canvas").first.evaluate("node => node.toDataURL()")
        canvas = np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).convert("L")).astype(int)
        picture = frames[moment].preview.pictures[4].astype(int)
        side, width = min(canvas.shape) - 2, canvas.shape[1]
        # The middle of every pixel of the picture, which is drawn alone.
        places = ((np.arange(picture.shape[0]) + 0.5) / picture.shape[0] * side).astype(int) + 1
        shown = canvas[places][:, places + (width - side - 2) // 2]
        assert abs(shown - picture).max() <= 3, moment
        assert abs(shown - frames[moment - 1].preview.pictures[4]).max() > 20
    root.locator(".controls input").uncheck()


def test_it_plays_by_keys_and_its_speed_holds(runs):
    page, _ = runs
    root = player(page, "plane")
    root.locator(".speed input").fill("12")  # about 12 moments a second
    root.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    drawn(root, 1)
    (rate,) = re.findall(r"(\d+) moments/s", root.locator(".speed output").inner_text())
    page.keyboard.press(" ")
    began = page.evaluate("() => performance.now()")
    root.get_by_role("button", name="Pause").wait_for()
    root.get_by_role("button", name="Play", exact=True).wait_for()  # at its end
    seconds = (page.evaluate("() => performance.now()") - began) / 1000
    assert root.get_attribute("data-step") == "30"
    assert 29 / int(rate) - 0.2 < seconds < 29 / int(rate) + 2.5


def test_a_chosen_sample_has_its_own_curve_and_its_place(runs):
    page, records = runs
    run, root = records["molecules"], player(page, "molecules")
    root.locator(".scrub").fill("2")
    root.focus()
    for _ in range(3):
        page.keyboard.press("]")
    page.wait_for_function("(root) => root.dataset.sample === '2'", arg=root.element_handle())
    said = root.locator("figure", has=page.locator("[data-quantity='weights']")).locator(".values").inner_text()
    found = [float(text.replace("−", "-")) for text in said.split()]
    np.testing.assert_allclose(found, run.trace.curves().weights[2, :, 2], atol=0.006)
    assert "sample 2" in root.locator(".said").inner_text().lower()
    # Another run of the page's script takes nothing away.
    page.get_by_role("button", name="again").click()
    page.wait_for_timeout(600)
    assert root.get_attribute("data-sample") == "2" and root.get_attribute("data-step") == "2"
    root.get_by_role("button", name="All").click()
    page.wait_for_function("(root) => root.dataset.sample === ''", arg=root.element_handle())


def test_a_player_that_goes_takes_its_moment_out_of_the_address(runs):
    """Also where the tab's own script, which writes the address, had its turn before the player was gone."""
    page, _ = runs
    player(page, "plane").locator(".scrub").fill("2")
    page.evaluate("() => { window.superdiffTab = { look: null, wrote: [], write() { this.wrote.push(this.look); } }; }")
    player(page, "plane").locator(".scrub").fill("3")
    page.wait_for_function("() => superdiffTab.wrote.at(-1)?.step === 3")
    page.get_by_text("players", exact=True).click()
    page.locator(".player").first.wait_for(state="detached")
    page.wait_for_function("() => superdiffTab.wrote.at(-1) === null")
    page.evaluate("() => delete window.superdiffTab")
    page.get_by_text("players", exact=True).click()
    player(page, "plane").wait_for()


def test_sample_and_moment_stand_in_the_address_and_a_link_opens_there(context, studio):
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = open_with(context, studio, link(40, "or"))
    page.keyboard.press("Control+Enter")
    page.get_by_text("Finished ·").wait_for()
    page.locator(".st-key-view").get_by_text("Replay", exact=True).click()
    root = page.locator(".player[data-step]")
    root.wait_for()
    root.locator(".scrub").fill("2")
    root.locator(".sample input").fill("12")
    step = root.get_attribute("data-step")
    page.wait_for_function("(step) => location.search.includes(`sample=12&step=${step}`)", arg=step)
    root.get_by_role("button", name="Copy link").click()
    root.get_by_text("The link is copied.").wait_for()
    copied = page.evaluate("() => navigator.clipboard.readText()")
    # The server has been told of the sample: other views show it, and the way back finds the moment.
    page.locator(".st-key-view").get_by_text("Samples", exact=True).click()
    page.wait_for_function("() => document.querySelector('[class*=st-key-pick-] input')?.value === '12'")
    page.wait_for_function("() => location.search.includes('sample=12') && !location.search.includes('step=')")
    page.locator(".st-key-view").get_by_text("Replay", exact=True).click()
    page.locator(f".player[data-step='{step}'][data-sample='12']").wait_for()
    page.close()
    other = context.new_page()
    other.goto(copied)
    other.locator(f".player[data-step='{step}'][data-sample='12']").wait_for()
    other.close()
