"""Axe looks at every page, light and dark: nothing serious or critical keeps anybody from using it.

axe-core (Deque, MPL-2.0), as axe-playwright-python brings it; what it finds is named by rule, element and page.
"""

import pytest
from axe_playwright_python.sync_playwright import Axe

from superdiff_engine.library import Library
from superdiff_engine.runs.run import Run
from tests.browser.conftest import ROOT, serving
from tests.plane_recipes import plane

pytestmark = pytest.mark.browser
#: Pages by their addresses, each with what is there once it is drawn.
PAGES = {
    "playground": ".play .legend span",
    "library": "li.card .open",
    "lessons": "h2",
    "guide": "h2",
    "formula-product": ".katex-display[tabindex]",
}
VIEWS = {"samples": ".js-plotly-plot", "replay": "canvas", "curves": ".js-plotly-plot", "table": "canvas"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A server whose library has two runs: its address, and theirs."""
    folder = tmp_path_factory.mktemp("axe")
    ids = [f"2026010{seed}-120000-00000{seed}" for seed in (1, 2)]
    for seed, one in enumerate(ids):
        Run(plane(seed=seed, levels={"steps": 12}), folder / "runs" / one, id=one).execute()
    Library(folder / "runs").refresh()
    with serving(ROOT / "studio" / "serve.py", folder) as address:
        yield address, ids


def grave(page):
    """What axe finds serious or critical, a line for each element."""
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [
        f"{one['id']} ({one['impact']}): {node['target']} {node['html'][:160]} {said(node)}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"][:4]
    ]


def said(node):
    return [check["message"][:160] for check in node["any"]]


SCHEME = "(scheme) => getComputedStyle(document.querySelector('.stApp')).colorScheme === scheme"
#: Whether the studio's own colours are those of the page, which may have changed since the server drew them.
COLOURED = """() => {
    const own = document.createElement("span").style;
    own.color = getComputedStyle(document.documentElement).getPropertyValue("--studio-background");
    return own.color === getComputedStyle(document.querySelector(".stApp")).backgroundColor;
}"""


def test_no_page_keeps_anybody_out_in_light_or_dark(context, made):
    address, (first, second) = made
    page = context.new_page()
    found = {}

    def look(path, ready):
        page.emulate_media(color_scheme="light")
        page.goto(f"{address}/{path}")
        page.locator(ready).first.wait_for()
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.wait_for_function(SCHEME, arg=scheme)
            page.wait_for_function(COLOURED)
            page.wait_for_timeout(700)  # what appears, or changes its colour, fades in
            found[f"{path}, {scheme}"] = grave(page)

    look("", ".st-key-run button")
    for path, ready in PAGES.items():
        look(path, ready)
    for view, ready in VIEWS.items():
        look(f"?run={first}&view={view}", ready)
    look(f"?run={first},{second}", ".js-plotly-plot")
    page.close()
    assert not any(found.values()), "\n".join(f"{path}: {line}" for path, lines in found.items() for line in lines)
