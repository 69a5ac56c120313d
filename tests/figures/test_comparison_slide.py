"""Runs side by side on a slide: everything within it, the recipes inside, each run in its colour."""

import io
import json

import numpy as np
import pytest
from PIL import Image
from plane_recipes import plane

from superdiff_engine.domains.checked import make_recipe
from superdiff_engine.domains.colours import RUN_COLOURS, rgb
from superdiff_engine.figures.comparison import RECIPES_CHUNK, SIZE, SMALL, comparison_figure, comparison_png
from superdiff_engine.figures.paper import drawing
from superdiff_engine.runs.comparison import Comparison
from superdiff_engine.runs.run import Run

LONG = "a title of <b>many</b> words $\\alpha$ 漢字 that nobody would give to a run on a slide " * 3


@pytest.fixture(scope="module")
def runs():
    changes = [{}, {"operator": {"name": "and"}}, {"experts": [{"model": "ring"}], "operator": {"name": "average"}}]
    changes += [{"seed": 3}, {"operator": {"name": "formula", "text": "1 and 2"}, "correction": {}}, {"batch": 9}]
    made = [Run(plane(**change)) for change in changes]
    assert all(run.execute() is not None for run in made)
    return made


@pytest.mark.parametrize("count", [2, 6])
def test_a_slide_holds_its_runs_and_their_recipes(runs, count):
    compared = Comparison(runs[:count])
    content = comparison_png(compared)
    image = Image.open(io.BytesIO(content))
    assert image.size == SIZE and image.mode == "RGB"
    assert [make_recipe(one) for one in json.loads(image.text[RECIPES_CHUNK])] == compared.recipes
    pixels = np.asarray(image)
    assert (pixels[[0, 0, -1, -1], [0, -1, 0, -1]] == 255).all()  # white
    for place, colour in enumerate(RUN_COLOURS["light"]):
        found = (pixels == rgb(colour)).all(-1).sum()
        assert (found > 200) == (place < count), colour
    assert count > 2 or comparison_png(Comparison(runs[:count])) == content


@pytest.mark.parametrize("titles", [None, [LONG] * 6])
def test_whatever_is_said_stays_within_the_slide(runs, titles):
    with drawing("dark", SMALL):
        figure = comparison_figure(Comparison(runs, titles), title="" if titles is None else LONG, theme="dark")
        figure.canvas.draw()
        texts = [text for text in figure.texts if text.get_text()]
        boxes = [text.get_window_extent() for text in texts]
        assert all(box.x0 >= 0 and box.x1 <= SIZE[0] and box.y0 >= 0 and box.y1 <= SIZE[1] for box in boxes)
        said = [text.get_text() for text in texts]
        (axes,) = figure.axes
        assert axes.get_xlabel() and axes.get_ylabel() and len(axes.lines) == 11
        assert any("±" in one for one in said) and "valid" not in " ".join(said)
        # No two texts lie on each other.
        for place, box in enumerate(boxes):
            assert not any(box.padded(-3).overlaps(other.padded(-3)) for other in boxes[place + 1 :]), said[place]
