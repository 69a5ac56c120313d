"""The picture of a grid: where the cells and the labels stand."""

import numpy as np
import pytest
from PIL import Image

from superdiff_engine.runs.axes import parse_axis
from superdiff_engine.runs.grid_picture import CELL, compose_grid


def unlike(height, width, count):
    """Noise in colours that neither the labels nor the frames have, so that it can be found again."""
    generator = np.random.default_rng(0)
    return [generator.integers(1, 200, (height, width, 3), np.uint8) * [1, 0, 1] for _ in range(count)]


def places(sheet, cell):
    """Where on the sheet the array stands, pixel for pixel: (left, top) of every place."""
    first = (sheet[: -len(cell) + 1 or None, : -cell.shape[1] + 1 or None] == cell[0, 0]).all(-1)
    found = []
    for top, left in np.argwhere(first):
        if np.array_equal(sheet[top : top + cell.shape[0], left : left + cell.shape[1]], cell):
            found.append((int(left), int(top)))
    return found


@pytest.mark.parametrize(("height", "width", "factor"), [(28, 28, 5), (64, 64, 2), (100, 40, 1), (160, 160, 1)])
def test_every_cell_stands_in_its_row_and_column(height, width, factor):
    x, y = parse_axis("temperature=0,1,10"), parse_axis("bias=-2,2")
    arrays = [array.astype(np.uint8) for array in unlike(height, width, 6)]
    cells = {divmod(index, 3): Image.fromarray(array) for index, array in enumerate(arrays)}
    sheet = np.asarray(compose_grid(cells, x, y, "A title"))
    corners = {}
    for index, array in enumerate(arrays):
        (corners[divmod(index, 3)],) = places(sheet, array.repeat(factor, 0).repeat(factor, 1))
    lefts, tops = sorted({left for left, _ in corners.values()}), sorted({top for _, top in corners.values()})
    assert corners == {(row, column): (lefts[column], tops[row]) for row in range(2) for column in range(3)}
    assert min(np.diff(lefts)) > width * factor and min(np.diff(tops)) > height * factor


def test_large_pictures_are_shrunk_and_keep_their_shape():
    picture = Image.new("RGB", (512, 384), "#c000c0")
    sheet = np.asarray(compose_grid({(0, 0): picture}, parse_axis("seed=0")))
    rows, columns = np.nonzero((sheet == (0xC0, 0, 0xC0)).all(-1))
    assert (np.ptp(columns) + 1, np.ptp(rows) + 1) == (CELL, CELL * 3 // 4)


def test_labels_are_drawn_for_every_value_and_do_not_touch_the_cells():
    cells = {(row, column): Image.new("RGB", (112, 112), "#c000c0") for row in range(2) for column in range(2)}
    x, y = parse_axis("seed=9223372036854775806,9223372036854775807"), parse_axis("ridge=0,0.5")
    sheet = np.asarray(compose_grid(cells, x, y))
    inside = (sheet == (0xC0, 0, 0xC0)).all(-1)
    assert inside.sum() == 4 * 112 * 112
    rows, columns = np.nonzero(inside.any(1))[0], np.nonzero(inside.any(0))[0]
    above, beside = sheet[: rows[0] - 1].min(-1) < 128, sheet[rows, : columns[0] - 1].min(-1) < 128
    starts = [columns[0], *columns[1:][np.diff(columns) > 1]]
    # Nineteen digits are wider than a picture: each label is ink around its own column, with white in between.
    lines = above[rows[0] - 23 : rows[0] - 2]
    middle = (starts[0] + 112 + starts[1]) // 2
    assert lines[:, :middle].any() and lines[:, middle:].any() and not lines[:, middle - 2 : middle + 2].any()
    assert beside[:112].any() and beside[112:].any()


def test_a_row_alone_has_no_labels_beside_it():
    with_rows = compose_grid({}, parse_axis("seed=0:6"), parse_axis("ridge=1"))
    assert compose_grid({}, parse_axis("seed=0:6")).width < with_rows.width
