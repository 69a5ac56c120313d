"""The 3D viewer in a real browser: offline, the same canvas from tick to tick, the camera where it was left."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.browser

CANVASES = ".stage canvas"  # within the component's shadow root, which Playwright looks into
BORDER = 8  # pixels of a stage's edge that its rounded border may touch


@pytest.fixture(scope="module")
def address(tmp_path_factory, serve):
    with serve(Path(__file__).parent / "viewer_page.py", tmp_path_factory.mktemp("viewer")) as address:
        yield address


@pytest.fixture
def page(context, address):
    page = context.new_page()
    page.goto(address)
    page.locator(CANVASES).nth(1).wait_for()
    page.get_by_text("tick number 3").wait_for()
    yield page
    page.close()


def ticks(page):
    return int(re.search(r"\d+", page.get_by_text("tick number").inner_text())[0])


def wait_for_ticks(page, more):
    page.get_by_text(
        re.compile(f"tick number ({'|'.join(str(ticks(page) + more + k) for k in range(40))})$")
    ).wait_for()


def drawn(page, which=0):
    """The drawing, as a PNG, without the stage's rounded border: the browser blends its corners anew each time."""
    picture = Image.open(io.BytesIO(page.locator(".stage").nth(which).screenshot()))
    buffer = io.BytesIO()
    picture.crop((BORDER, BORDER, picture.width - BORDER, picture.height - BORDER)).save(buffer, "PNG")
    return buffer.getvalue()


def settled(page):
    """What is drawn once it has stood still for six looks: it follows the mouse as fast as the machine draws."""
    now, still = drawn(page), 0
    for _ in range(120):
        page.wait_for_timeout(300)
        before, now = now, drawn(page)
        still = still + 1 if now == before else 0
        if still == 6:
            return now
    pytest.fail("the drawing never stood still")


def test_the_camera_and_the_canvas_stay_while_the_scene_is_sent_again(page, context):
    stage = page.locator(".stage").first
    wait_for_ticks(page, 1)
    before = settled(page)
    canvas = page.locator(CANVASES).first
    canvas.evaluate("node => { node.dataset.mark = 'here'; }")
    box = stage.bounding_box()
    page.mouse.move(box["x"] + 200, box["y"] + 150)
    page.mouse.down()
    page.mouse.move(box["x"] + 330, box["y"] + 210, steps=6)
    page.mouse.up()
    page.mouse.move(5, 5)
    wait_for_ticks(page, 2)
    turned = settled(page)
    assert turned != before
    wait_for_ticks(page, 4)
    assert drawn(page) == turned
    assert page.locator(CANVASES).first.get_attribute("data-mark") == "here"
    assert context.foreign == []


def test_moments_play_and_nothing_that_was_handed_over_becomes_markup(page):
    bar = page.locator(".bar").nth(1)
    assert bar.locator("input").input_value() == "9"
    assert bar.locator(".label").inner_text() == "<b>moment</b> 9"
    last = drawn(page, 1)
    bar.locator("input").fill("0")
    assert bar.locator(".label").inner_text() == "<b>moment</b> 0" and drawn(page, 1) != last
    bar.get_by_role("button", name="Play").click()
    bar.get_by_role("button", name="Play").wait_for()  # it was "Pause" meanwhile, and has come to the end
    assert bar.locator("input").input_value() == "9"
    assert page.evaluate("() => window.hit") is None
    assert page.locator(".stage").nth(1).get_attribute("aria-label") == "<i>Ethanol</i>"


def test_backbones_are_drawn_as_cartoons_in_the_colours_asked_for(context, serve, tmp_path):
    with serve(Path(__file__).parent / "chains_page.py", tmp_path) as address:
        page = context.new_page()
        page.goto(address)
        page.locator(CANVASES).first.wait_for()
        for _ in range(40):  # until it is drawn
            red, green, blue = (
                np.asarray(Image.open(io.BytesIO(drawn(page))).convert("RGB")).astype(int).transpose(2, 0, 1)
            )
            counts = ((red > 90) & (green < 60) & (blue < 60)).sum(), ((green > 90) & (red < 60) & (blue < 60)).sum()
            if min(counts) > 200:
                break
            page.wait_for_timeout(250)
        assert min(counts) > 200
        assert page.evaluate("() => window.hit") is None
        page.close()
