"""The distance of superposed shapes, against SciPy's alignment."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from superdiff_engine.domains.superposition import superposed_distance


@pytest.mark.parametrize("points", [12, 30])
def test_superposed_distance_is_scipys(points):
    rng = np.random.default_rng(points)
    first, second = rng.normal(size=(2, points, 3))
    _, theirs = Rotation.align_vectors(first - first.mean(0), second - second.mean(0))
    assert superposed_distance(first, second) == pytest.approx(theirs / np.sqrt(points), rel=1e-6)
    turned = first @ Rotation.from_euler("xyz", [1, 2, 3]).as_matrix().T + 7
    assert superposed_distance(first, turned) < 1e-6
    assert superposed_distance(first, -first) > 0.1  # a mirror image is another shape
