import numpy as np
import pytest

from superdiff_engine.domains.prompts.emoji.webp import from_webp, to_webp


def test_pictures_come_back_pixel_for_pixel_and_in_order():
    pictures = np.random.default_rng(0).integers(0, 256, (9, 20, 12, 3), dtype=np.uint8)
    pictures[3] = 255
    stored = to_webp(pictures)
    assert stored["blob"].dtype == np.uint8 and stored["offsets"].shape == (10,)
    assert stored["offsets"][-1] == len(stored["blob"])
    assert np.array_equal(from_webp(stored), pictures)


def test_damaged_pictures_are_refused():
    stored = to_webp(np.zeros((2, 8, 8, 3), np.uint8))
    with pytest.raises(ValueError, match="damaged"):
        from_webp(stored | {"blob": stored["blob"][:-4]})
    with pytest.raises(ValueError):
        from_webp({"blob": stored["blob"][:0], "offsets": np.zeros(1, np.int64)})
