"""Pages of runs in a Chromium without a net: they draw what they hold, ask for nothing, and run nothing typed."""

import pytest
from nasty import NASTY
from plane_recipes import plane

from superdiff_engine.domains import get_domain
from superdiff_engine.domains.checked import make_recipe
from superdiff_engine.runs.run import Run
from superdiff_engine.web.page import run_page, solids_page

pytestmark = pytest.mark.browser
HOSTILE = "</script></title><script>window.ran=1</script><img src=x onerror=window.ran=1><a href='javascript:1'>x</a>"
#: Whether anything but the ground is drawn on the stage of the three-dimensional view.
DRAWN = """() => {
  const canvas = document.querySelector('#solid canvas'), copy = document.createElement('canvas');
  [copy.width, copy.height] = [canvas.width, canvas.height];
  const pen = copy.getContext('2d');
  requestAnimationFrame(() => 0);
  pen.drawImage(canvas, 0, 0);
  const { data } = pen.getImageData(0, 0, copy.width, copy.height);
  let seen = 0;
  for (let place = 0; place < data.length; place += 4)
    if (data[place + 3] && Math.min(data[place], data[place + 1], data[place + 2]) < 200) seen += 1;
  return seen;
}"""


@pytest.fixture
def opened(chromium, tmp_path):
    """Opens a page from a file in a browser that reaches nothing: (page, what it asked for, what went wrong)."""
    context = chromium.new_context(offline=True, viewport={"width": 1280, "height": 720})

    def open_page(text):
        path = tmp_path / "page.html"
        path.write_text(text)
        page, asked, wrong = context.new_page(), [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        page.goto(path.as_uri())
        page.wait_for_timeout(300)
        asked = [url for url in asked if not url.startswith(("data:", "blob:"))]
        assert asked == [path.as_uri()] and wrong == []
        assert page.evaluate("window.ran") is None
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        return page

    yield open_page
    context.close()


def test_a_run_with_hostile_names_is_shown_and_nothing_of_it_runs(opened):
    experts = [{"model": "ring"}, {"model": "petal_a"}]
    result = Run(plane(experts=experts)).execute()
    page = opened(run_page(result, title=HOSTILE, note=NASTY, titles=[HOSTILE, f"{HOSTILE} {NASTY}"]))
    assert page.title() == HOSTILE and page.locator("h1").inner_text() == HOSTILE
    assert page.locator(".js-plotly-plot").count() == 3 and page.locator("img").count() == 1
    # A hover, which reads a little HTML, shows names as typed too.
    page.locator("#chart-0").scroll_into_view_if_needed()
    box = page.locator("#chart-0").bounding_box()
    for step in range(100):  # plotly drops moves that come too quickly
        page.mouse.move(box["x"] + box["width"] / 2 + step, box["y"] + 100)
        page.wait_for_timeout(100)
        if page.locator("#chart-0 .hovertext").count():
            break
    assert "</script></title>" in " ".join(page.locator("#chart-0 .hovertext").all_text_contents())
    assert page.evaluate("window.ran") is None and page.locator("a[href^=javascript]").count() == 0
    assert page.locator("main script, h1 *, svg image").count() == 0


def test_molecules_turn_without_a_net(opened):
    document = next(iter(get_domain("molecules").examples().values())).model_dump(mode="json")
    result = Run(make_recipe(document | {"batch": 2, "levels": {"steps": 2}})).execute()
    page = opened(solids_page(result, title=HOSTILE))
    assert page.evaluate(f"new Promise((done) => requestAnimationFrame(() => done(({DRAWN})())))") > 200
    page.get_by_role("button", name="Next").click()
    assert page.locator("#solid-choice").input_value() == "1"
    assert page.locator("#solid").get_attribute("aria-label").startswith("Molecule 1")
