"""What was measured in the cells of a grid, on paper: read back from the SVG."""

import numpy as np
import pytest
from plane_recipes import plane
from read_svg import line, texts

from superdiff_engine.domains.checked import parse_recipe
from superdiff_engine.figures.grids import grid_sheet
from superdiff_engine.measured import Figure
from superdiff_engine.runs.axes import make_axis
from superdiff_engine.runs.cells import Cell, Grid


@pytest.fixture
def grid():
    """Cells with values that no run made; the last has failed, and the one before is missing."""
    found = Grid(plane(), make_axis("temperature", [3, 0, 1]), make_axis("formula", ["1 or 2", "$x$ _ 獅"]), None)

    def cell(value):
        return Cell(figures={"near": Figure(name="near", title="near a mode", value=value, error=0.01, unit="share")})

    found._cells = {(row, column): cell(0.1 * (3 * row + column)) for row in range(2) for column in range(3)}
    found._cells |= {(1, 2): Cell(problem="No.", failed=True)}
    del found._cells[1, 1]
    return found


def test_a_heat_map_says_every_value_and_its_error(grid):
    svg = grid_sheet(grid, "near", "light").svg()
    words = texts(svg)
    for value in (0, 10, 20, 30):
        assert any(f"{value}.0" == one for one in words) or f"{value}.0± 1.0" in words, words
    for shown in ("temperature T", "formula", "Near a mode", "%", "×", "3", "0", "1", "1 or 2", "$x$ _ 獅"):
        assert shown in words, (shown, words)
    assert grid_sheet(grid, "near", "light").svg() == svg
    assert words.count("×") == 1


def test_lines_stand_at_the_values_of_the_axis(grid):
    svg = grid_sheet(grid, "near", "light", lines=True).svg()
    np.testing.assert_allclose(line(svg, "row-0"), [[0, 10], [1, 20], [3, 0]], atol=0.02)
    assert {"near a mode (%)", "formula 1 or 2", "formula $x$ _ 獅"} <= {*texts(svg)}


def test_the_recipe_is_inside(grid):
    import io

    from PIL import Image

    picture = Image.open(io.BytesIO(grid_sheet(grid, "near", "dark").png(60)))
    assert parse_recipe(picture.text["superdiff_recipe"]) == grid.recipe and picture.getpixel((1, 1)) == (16, 23, 28)
