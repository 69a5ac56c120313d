"""Contour lines of a function on a grid, as line segments: marching squares, all crossed cells at once."""

from __future__ import annotations

import numpy as np

#: How far below the highest point of a density the lines lie, in nats: one, two and three standard deviations of a
#: Gaussian.
DEPTHS = (0.5, 2.0, 4.5)

# Corners of a cell go round: 0 lower left, 1 lower right, 2 upper right, 3 upper left; edge k joins corners k, k + 1.
_ACROSS, _ALONG = np.array([0, 1, 1, 0]), np.array([0, 0, 1, 1])
# The two edges that a line crosses, by the pattern of corners above it (corner k counts 2^k); saddles cross twice.
_FIRST = np.array([-1, 3, 0, 3, 1, 3, 0, 3, 2, 0, 0, 1, 1, 0, 3, -1])
_SECOND = np.array([-1, 0, 1, 1, 2, 0, 2, 2, 3, 2, 1, 2, 3, 1, 0, -1])
_SADDLES = {5: (1, 2), 10: (2, 3)}


def contour_segments(values: np.ndarray, extent: np.ndarray, heights: np.ndarray) -> np.ndarray:
    """Segments of the lines on which `values` equals one of `heights`.

    Args:
        values: [rows, columns]; row 0 is the lowest y, column 0 the lowest x.
        extent: x0, x1, y0, y1: the coordinates of the first and last grid points.
        heights: [k].

    Returns:
        [segments, 2, 2]: two points (x, y) each.
    """
    rows, columns = values.shape
    found = []
    for height in heights:
        above = (values > height).astype(np.int8)
        pattern = above[:-1, :-1] + 2 * above[:-1, 1:] + 4 * above[1:, 1:] + 8 * above[1:, :-1]
        row, column = np.nonzero((pattern > 0) & (pattern < 15))
        code = pattern[row, column]
        cells, first, second = [np.arange(len(code))], [_FIRST[code]], [_SECOND[code]]
        for saddle, edges in _SADDLES.items():
            more = np.nonzero(code == saddle)[0]
            cells.append(more)
            first.append(np.full(len(more), edges[0]))
            second.append(np.full(len(more), edges[1]))
        chosen = np.concatenate(cells)
        row, column = row[chosen], column[chosen]
        ends = []
        for edge in (np.concatenate(first), np.concatenate(second)):
            following = (edge + 1) % 4
            low = values[row + _ALONG[edge], column + _ACROSS[edge]]
            high = values[row + _ALONG[following], column + _ACROSS[following]]
            part = (height - low) / (high - low)
            x = column + _ACROSS[edge] + part * (_ACROSS[following] - _ACROSS[edge])
            y = row + _ALONG[edge] + part * (_ALONG[following] - _ALONG[edge])
            ends.append(np.stack([x, y], axis=-1))
        found.append(np.stack(ends, axis=1))
    x0, x1, y0, y1 = (float(value) for value in extent)
    scale = np.array([(x1 - x0) / (columns - 1), (y1 - y0) / (rows - 1)])
    return np.concatenate(found) * scale + np.array([x0, y0])


def joined_lines(segments: np.ndarray) -> np.ndarray:
    """Segments [n, 2, 2] that meet, one after the other: [points, 2], a row of NaN after each line.

    They are as many lines as have to be, drawn without a seam, for pictures that stand still.
    """
    ends = np.round(segments, 9)
    ends = ends[(ends[:, 0] != ends[:, 1]).any(1)]  # where a line passes through a point of the grid
    meeting: dict[tuple[float, float], list[int]] = {}
    for number, end in enumerate(ends.reshape(-1, 2)):
        meeting.setdefault((end[0], end[1]), []).append(number // 2)
    left = dict.fromkeys(range(len(ends)))
    found: list[np.ndarray] = []

    def follow(point: np.ndarray) -> list[np.ndarray]:
        """The points that come after `point`, along segments that are left."""
        line: list[np.ndarray] = []
        while True:
            here = (point[0], point[1])
            onwards = next((segment for segment in meeting[here] if segment in left), None)
            if onwards is None:
                return line
            del left[onwards]
            first, second = ends[onwards]
            point = second if (first[0], first[1]) == here else first
            line.append(point)

    while left:
        start = next(iter(left))
        del left[start]
        first, second = ends[start]
        forwards, backwards = follow(second), follow(first)
        found.append(np.array([*backwards[::-1], first, second, *forwards, [np.nan, np.nan]]))
    return np.concatenate(found) if found else np.zeros((0, 2))


def density_lines(log_density: np.ndarray, extent: np.ndarray) -> np.ndarray:
    """The lines `DEPTHS` below the highest point of a log-density: [points, 2], a row of NaN between segments."""
    values = np.asarray(log_density, float)
    segments = contour_segments(values, extent, values.max() - np.array(DEPTHS))
    gaps = np.full((len(segments), 1, 2), np.nan)
    return np.concatenate([segments, gaps], axis=1).reshape(-1, 2)
