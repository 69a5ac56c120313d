"""The guide's pages of formulas: their recipes open and make the pictures that are shown, and their pages are drawn."""

import numpy as np
import pytest
from plane_recipes import plane
from studio_page import open_link, press, words

from studio.form import to_recipe, to_widgets
from studio.formula_pages import formula_pages
from superdiff_engine.domains.checked import make_recipe, recipe_from_link
from superdiff_engine.domains.plane.contours import contour_segments, joined_lines
from superdiff_engine.domains.plane.formula_samples import FILE, make_samples, read_samples
from superdiff_engine.recipes.formulas import parse_formula, print_formula

KEYS = [page.key for page in formula_pages()]


def named(key):
    return formula_pages()[KEYS.index(key)]


@pytest.mark.parametrize("key", KEYS)
def test_the_recipe_of_a_page_opens_as_it_is(key):
    page = named(key)
    for recipe in (page.recipe, page.plain):
        assert recipe_from_link(recipe.to_link()) == make_recipe(recipe.model_dump()) == recipe
        values = to_widgets.widget_values(recipe, 0)
        assert to_widgets.unshown(recipe, values) == ""
        assert make_recipe(to_recipe.document(values)) == recipe
    operator = recipe.operator.build(recipe.names)
    target = operator.target(len(recipe.experts))
    assert (target is None) == (page.recipe.correction is None) == bool(page.beside)
    if target is not None:
        assert parse_formula(print_formula(target), recipe.names).experts == set(range(len(recipe.experts)))


def test_addresses_and_titles_tell_the_pages_apart():
    assert len(set(KEYS)) == len({page.title for page in formula_pages()}) == len(KEYS)
    assert all(page.beside in ["", *KEYS] for page in formula_pages())


def test_the_kept_samples_are_those_of_the_recipes_and_come_near_the_target():
    kept = read_samples()
    assert list(kept) == KEYS
    assert FILE.stat().st_size < 200_000
    for page in formula_pages():
        made = kept[page.key]
        assert made.recipe == page.recipe.to_json(), "make them anew (formula_samples)"
        assert np.isfinite(made.plain).all() and np.isfinite(made.corrected).all()
        if page.recipe.correction is not None:
            assert made.corrected_distance < 1.5 * made.floor + 0.03
            assert made.corrected_distance < made.plain_distance + 0.01


def test_a_page_can_be_made_again():
    made, kept = make_samples(named("root")), read_samples()["root"]
    assert made.plain_distance == pytest.approx(kept.plain_distance, abs=0.02)
    assert made.corrected_distance == pytest.approx(kept.corrected_distance, abs=0.02)


def test_the_pages_are_drawn_and_open_their_recipe(tmp_path, monkeypatch):
    app = open_link(plane(), tmp_path / "runs", monkeypatch)
    app.run()
    pages = {page["url_pathname"]: name for name, page in app._registered_pages.items()}
    for page in formula_pages():
        app._page_hash = pages[f"formula-{page.key}"]
        app.run()
        assert not app.exception and not app.error
        assert page.title in words(app) and page.meaning in words(app)
        assert len(app.get("plotly_chart")) == 3
        assert app.latex[0].value.strip("$\n") == page.target
    app._page_hash = pages["formula-not"]
    app.run()
    app._page_hash = ""
    press(app, "open-formula")
    assert not app.exception and not app.error
    assert app.session_state["f.formula"] == "1 but not 2" and app.session_state["f.corrected"]
    assert "negotiate" in words(app)
    # What the form describes is shown with its target, until that is switched off.
    assert "exact target's" in words(app)
    for shown in (False, True):
        next(toggle for toggle in app.toggle if toggle.key == "target-experts").set_value(shown)
        for _ in range(2):
            app.run()
            assert not app.exception and ("exact target's" in words(app)) == shown


def test_lines_of_segments_are_joined_to_closed_curves():
    axis = np.linspace(-2, 2, 41)
    squares = axis[:, None] ** 2 + axis**2
    segments = contour_segments(squares, np.array([-2.0, 2, -2, 2]), np.array([1.0, 2.25]))
    lines = joined_lines(segments)
    (ends,) = np.isnan(lines[:, 0]).nonzero()
    assert len(ends) == 2
    for line, radius in zip(np.split(lines, ends + 1), (1.0, 1.5), strict=False):
        line = line[:-1]  # without its gap
        np.testing.assert_allclose(line[0], line[-1])
        np.testing.assert_allclose(np.hypot(*line.T), radius, atol=0.01)
