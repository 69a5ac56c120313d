"""The plane in a real browser: one canvas from tick to tick; what is drawn and said is what the engine knows."""

import io
import re
from pathlib import Path

import numpy as np
import plane_page
import pytest
import torch
from PIL import Image

from superdiff_engine.domains.colours import EXPERT_COLOURS, NEUTRAL, TARGET, rgb
from superdiff_engine.domains.plane.domain import to_view
from superdiff_engine.domains.plane.field import Field
from superdiff_engine.recipes.operators import OrRecipe

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address(tmp_path_factory, serve):
    with serve(Path(plane_page.__file__), tmp_path_factory.mktemp("plane")) as address:
        yield address


@pytest.fixture(scope="module")
def page(context, address):
    page = context.new_page()
    page.goto(address)
    page.get_by_text(re.compile(rf"tick number ({plane_page.LAST}|\d\d)$")).wait_for()
    yield page
    page.close()


@pytest.fixture(scope="module")
def frame():
    return plane_page.frames(OrRecipe())[-1]


class Drawn:
    """The first plane of the page: where a place of it is, and what colour."""

    def __init__(self, page):
        self.page = page
        self.host = page.locator(".plane-host").first
        self.live = page.locator(".plane-live").first

    def switch(self, layer):
        self.live.locator(f"[data-layer={layer}]").click()

    def at(self, x, y, half=4.0):
        """Where a place of the plane is on the canvas, in pixels."""
        left, top, side = map(float, self.host.get_attribute("data-square").split())
        return float(left + (x + half) / (2 * half) * side), float(top + (half - y) / (2 * half) * side)

    def click(self, x, y, **how):
        across, down = self.at(x, y)
        self.host.locator("canvas").click(position={"x": across, "y": down}, **how)

    def shown(self, colour, places):
        """Of each place of [n, 2] whether there are pixels of the colour around it."""
        picture = np.asarray(Image.open(io.BytesIO(self.host.screenshot())).convert("RGB")).astype(int)
        found = []
        for x, y in places:
            across, down = (round(value) for value in self.at(x, y))
            near = picture[down - 2 : down + 3, across - 2 : across + 3]
            found.append(bool((np.abs(near - rgb(colour)).max(-1) < 12).any()))
        return found

    def along(self, colour, start, vector):
        """Whether the colour is all the way between a place and another."""
        return all(self.shown(colour, [np.array(start) + share * vector for share in (0.2, 0.35, 0.5, 0.65, 0.8)]))


def test_ticks_leave_the_canvas_and_what_was_chosen(page, frame):
    drawn = Drawn(page)
    drawn.host.evaluate("host => { host.querySelector('canvas').mine = true; }")
    drawn.click(*frame.preview.positions[5])
    tick = int(re.search(r"\d+", page.get_by_text("tick number").inner_text())[0])
    # A busy browser may draw several ticks at once.
    page.wait_for_function(
        """(least) => Number(document.body.innerText.match(/tick number (\\d+)/)?.[1]) >= least""", arg=tick + 2
    )
    assert drawn.host.evaluate("host => host.querySelector('canvas').mine")
    assert drawn.live.locator("table").is_visible()
    # Names are text.
    assert drawn.live.get_by_role("button", name="1 <b>Ring</b>").is_visible()
    assert not page.context.foreign


def test_the_chosen_sample_has_its_log_densities_as_estimated_and_exact(page, frame):
    drawn, field = Drawn(page), Field(plane_page.recipe(OrRecipe()), 4.0)
    # One that stands alone, so that the click meets it.
    places = frame.preview.positions
    apart = np.linalg.norm(places[:, None] - places[None], axis=2) + 9 * np.eye(len(places))
    row = int(apart.min(1).argmax())
    drawn.click(*places[row])
    cells = drawn.live.locator("tr").nth(2).locator("td, th").all_inner_texts()
    y = torch.from_numpy(places[row : row + 1]).double() / to_view(frame.level)
    exact = float(field.experts[1].log_density(y, frame.level))
    estimated = frame.preview.log_density[1, row]
    found = [float(text.replace("−", "-")) for text in cells[2:]]
    np.testing.assert_allclose(found, [estimated, exact, estimated - exact], atol=0.006)
    assert drawn.live.locator("tr").nth(1).locator("td").first.inner_text() == str(row)
    # A second one beside it.
    apart[row, row] = 0
    other = int(apart[row].argmax())
    drawn.click(*places[other], modifiers=["Shift"])
    assert drawn.live.locator("tr").count() == 5


def test_layers_are_where_the_engine_has_them(page, frame):
    drawn, field = Drawn(page), Field(plane_page.recipe(OrRecipe()), 4.0)
    light = EXPERT_COLOURS["light"]
    # Arrows at a point: the way to an expert's denoised mean ends there.
    drawn.live.get_by_role("button", name="arrows", exact=True).click()
    selects = drawn.live.locator(".plane-settings select")
    selects.nth(0).select_option("points")
    selects.nth(1).select_option("mean")
    x, y = -3.0, -2.5
    drawn.click(x, y)
    place = torch.tensor([[x, y]], dtype=torch.float64) / to_view(frame.level)
    for expert in range(2):
        pull = (frame.level**2 * to_view(frame.level) * field.experts[expert].score(place, frame.level))[0].numpy()
        # Nothing lies over it.
        for layer in (other := f"expert-{1 - expert}", "mix"):
            drawn.switch(layer)
        assert drawn.along(light[expert], (x, y), pull)
        drawn.switch("scores")
        assert not drawn.along(light[expert], (x, y), pull)
        for layer in ("scores", other, "mix"):
            drawn.switch(layer)
    log_q = torch.stack([expert.log_density(place, frame.level) for expert in field.experts])
    kappa = torch.softmax(log_q, 0)
    mix = sum(kappa[k] * field.experts[k].score(place, frame.level) for k in range(2))[0].numpy()
    drawn.switch("scores")
    assert drawn.along(NEUTRAL["light"], (x, y), frame.level**2 * to_view(frame.level) * mix)
    # The composed density's line 4.5 nats below its top.
    _, target = field.densities(frame.level)
    axis = np.linspace(-4, 4, target.shape[1])
    row = target[int(np.argmin(np.abs(axis - 0.5)))]
    line = axis[int(np.nonzero(row > target.max() - 4.5)[0][-1])]
    near = [(line + shift, 0.5) for shift in np.linspace(-0.05, 0.15, 9)]
    assert any(drawn.shown(TARGET["light"], near))
    drawn.switch("target")
    assert not any(drawn.shown(TARGET["light"], near))


def test_an_operator_without_a_formula_says_why_nothing_is_composed(page):
    second = page.locator(".plane-live").nth(1).locator("[data-layer=target]")
    assert second.get_attribute("aria-disabled") == "true"
    assert "no density" in second.get_attribute("title")
