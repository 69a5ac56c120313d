"""Pictures as lossless WebP in one array of bytes, which LZMA would make no smaller."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
from PIL import Image, UnidentifiedImageError

#: Of lossless WebP, 0 to 6: from here on it takes much longer and saves less than 1%.
_METHOD = 4


def to_webp(pictures: np.ndarray) -> dict[str, np.ndarray]:
    """Pictures without loss, for a pack.

    Args:
        pictures: uint8 [count, height, width, 3].

    Returns:
        "blob", uint8 [bytes]: the files one after another; "offsets", int64 [count + 1]: where each begins and ends.
    """

    def encoded(picture: np.ndarray) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "WEBP", lossless=True, quality=100, method=_METHOD)
        return buffer.getvalue()

    with _threads() as threads:
        files = list(threads.map(encoded, pictures))
    lengths = np.array([0, *(len(file) for file in files)], np.int64)
    return {"blob": np.frombuffer(b"".join(files), np.uint8), "offsets": lengths.cumsum()}


def from_webp(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """The pictures of `to_webp`, uint8 [count, height, width, 3].

    Raises:
        ValueError: when there are none, one is damaged, or they are not of one size.
    """
    content, offsets = arrays["blob"].tobytes(), arrays["offsets"].tolist()

    def decoded(span: tuple[int, int]) -> np.ndarray:
        try:
            return np.asarray(Image.open(io.BytesIO(content[span[0] : span[1]])).convert("RGB"))
        except (UnidentifiedImageError, OSError):
            raise ValueError("A picture of the pack is damaged.") from None

    with _threads() as threads:
        return np.stack(list(threads.map(decoded, pairwise(offsets))))


def _threads() -> ThreadPoolExecutor:
    """Pillow works on WebP without holding Python's lock."""
    return ThreadPoolExecutor(os.cpu_count() or 1)
