"""The playground in a real browser: what is dragged, drawn and typed changes contours and samples, in place."""

from urllib.parse import parse_qs, urlsplit

import pytest

from superdiff_engine.domains.checked import recipe_from_link

pytestmark = pytest.mark.browser

TAB = "window.superdiffPlayground"
#: Nothing is asked for any more, and what was answered is drawn.
STILL = f"() => {TAB}?.answer?.positions && !{TAB}.flying && !{TAB}.wanted && !{TAB}.stroke"
SAMPLES = f"() => Array.from({TAB}.answer.positions.slice(-1000))"
CANVAS = """() => {
    const find = (node) => node.querySelector('.plane') ||
        [...node.querySelectorAll('*')].map((one) => one.shadowRoot && find(one.shadowRoot)).find(Boolean);
    return find(document);
}"""
#: Pixels of the canvas that have an expert's blue or orange of lines, a number that changes when the contours do.
DRAWN = f"""() => {{
    const canvas = ({CANVAS})(), data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    let sum = 0;
    for (let at = 0; at < data.length; at += 4) if (data[at + 2] > data[at] + 60) sum = (sum * 31 + at) % 1000003;
    return sum;
}}"""


class Playground:
    def __init__(self, page):
        self.page, self.canvas = page, page.locator(".plane")

    def still(self):
        self.page.wait_for_function(STILL)

    def tell(self, what):
        return self.page.evaluate(f"() => {TAB}.{what}")

    def at(self, x, y):
        """The place on the screen of a point of the plane."""
        box, reach = self.canvas.bounding_box(), self.tell("reach")
        unit = (box["width"] - 2 - 38) / (2 * reach)
        return box["x"] + 1 + 30 + (x + reach) * unit, box["y"] + 1 + 8 + (reach - y) * unit

    def stroke(self, points):
        self.page.mouse.move(*self.at(*points[0]))
        self.page.mouse.down()
        for point in points[1:]:
            self.page.mouse.move(*self.at(*point))
        self.page.mouse.up()

    def modes(self, expert=0):
        return self.tell(f"sketch.experts[{expert}].modes")


@pytest.fixture
def play(context, studio):
    page, errors = context.new_page(), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{studio}/playground")
    opened = Playground(page)
    opened.still()
    yield opened
    page.close()
    assert errors == [] and context.foreign == []


def test_a_dragged_mode_changes_contours_and_samples_on_the_same_canvas(play):
    play.page.evaluate(f"() => {{ window.canvas = ({CANVAS})(); }}")
    before, samples, number = play.page.evaluate(DRAWN), play.page.evaluate(SAMPLES), play.tell("number")
    # While the hand is down and the server has not answered yet, the contours are at the new place already.
    play.page.evaluate(f"() => {{ {TAB}.flying = {{ number: -1, since: 0 }}; }}")
    play.page.mouse.move(*play.at(-1.5, 1.0))
    play.page.mouse.down()
    play.page.mouse.move(*play.at(-2.0, -1.0))
    play.page.mouse.move(*play.at(-2.5, -2.0))
    play.page.wait_for_timeout(100)
    assert play.tell("number") == number and play.page.evaluate(DRAWN) != before
    play.page.evaluate(f"() => {{ {TAB}.flying = null; }}")
    play.page.mouse.up()
    play.still()
    mode = play.modes()[0]
    assert mode["x"] == pytest.approx(-2.5, abs=0.03) and mode["y"] == pytest.approx(-2.0, abs=0.03)
    moved = play.page.evaluate(SAMPLES)
    grain = play.tell("answer.grain")
    near = [
        sum((x * grain + 2.5) ** 2 + (y * grain + 2.0) ** 2 < 1 for x, y in zip(places[::2], places[1::2], strict=True))
        for places in (samples, moved)
    ]
    assert near[0] < 10 and near[1] > 60  # a quarter of the samples and a bit less than all of them within 2.5 widths
    assert play.page.evaluate(f"() => window.canvas === ({CANVAS})() && window.canvas.isConnected")
    play.page.keyboard.press("Control+z")
    play.still()
    assert play.modes()[0] == {"x": -1.5, "y": 1, "width": 0.4, "mass": 1}
    assert play.page.evaluate(SAMPLES) == samples


def test_handles_keys_and_buttons_change_modes(play):
    play.page.mouse.click(*play.at(-1.5, 1.0))
    play.stroke([(-1.5 + 0.8, 1.0), (-1.3, 1.0), (-0.5, 1.0)])
    assert play.modes()[0]["width"] == pytest.approx(0.5, abs=0.02)
    play.stroke([(-1.5, 2.0), (-1.5, 2.5), (-1.5, 2.7)])
    assert play.modes()[0]["mass"] > 1.5
    play.page.keyboard.press("ArrowRight")
    play.page.keyboard.press("Shift+ArrowDown")
    assert (play.modes()[0]["x"], play.modes()[0]["y"]) == (-1.4, 0.5)
    play.page.mouse.dblclick(*play.at(-3.0, -3.0))
    assert len(play.modes()) == 3 and play.modes()[2]["x"] == pytest.approx(-3, abs=0.03)
    play.page.keyboard.press("Delete")
    assert len(play.modes()) == 2
    play.page.keyboard.press("PageDown")
    assert (play.tell("expert"), play.tell("mode")) == (1, 0)
    play.page.get_by_role("button", name="Add an expert").click()
    play.page.get_by_label("Bias of expert 3", exact=True).fill("2")
    play.still()
    assert len(play.tell("answer.weights.at(-1)")) == 3
    assert play.tell("answer.weights.at(-1)[2]") > 0.7  # odds of e^2 against 1 and 1: 0.79


def test_a_drawn_distribution_is_fitted_and_a_formula_is_told_what_is_wrong(play):
    play.page.get_by_role("button", name="Paint where the expert's samples shall be").click()
    play.stroke([(-3, 2.5), (-1, 2.5), (1, 2.5), (3, 2.5)])
    play.page.wait_for_function(f"() => {TAB}.fitted")
    play.still()
    modes = play.modes()
    assert 3 <= len(modes) <= 8 and all(abs(mode["y"] - 2.5) < 0.15 and abs(mode["x"]) < 3.2 for mode in modes)
    play.page.get_by_label("Operator", exact=True).and_(play.page.locator("select")).select_option("formula")
    play.page.get_by_label("Formula", exact=True).fill("1 und 2")
    problem = play.page.locator(".charts .problem")
    problem.wait_for()
    assert "und" in problem.inner_text()
    play.page.get_by_label("Formula", exact=True).fill("1 and 2")
    problem.wait_for(state="hidden")
    play.still()
    assert play.tell("answer.distance.length") == 2


def test_the_address_brings_the_sketch_back_and_compose_takes_it(play):
    play.stroke([(1.6, -0.4), (2.0, 0.0), (2.5, 0.5)])
    play.still()
    sketch = play.tell("sketch")
    play.page.wait_for_function("() => location.search.includes('play=')")
    play.page.wait_for_timeout(200)
    play.page.reload()
    play.still()
    assert play.tell("sketch.experts") == sketch["experts"]
    play.page.get_by_role("button", name="Open in Compose").click()
    play.page.wait_for_function("() => !location.search.includes('play=') && location.search.includes('recipe=')")
    play.page.get_by_role("button", name="Run Shortcut").first.wait_for()
    (link,) = parse_qs(urlsplit(play.page.url).query)["recipe"]
    taken = recipe_from_link(link).experts[1].mixture
    assert taken.means == [[mode["x"], mode["y"]] for mode in sketch["experts"][1]["modes"]]
