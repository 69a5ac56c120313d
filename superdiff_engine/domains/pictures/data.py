"""Fashion-MNIST, read from the files of Debian's package `dataset-fashion-mnist` (needed for training only).

60,000 training and 10,000 test pictures of garments, 28 x 28, grey, 10 classes (Xiao et al. 2017,
arXiv 1708.07747, MIT licence). Pictures are returned in [-1, 1] with white garments on black, as published.
"""

from __future__ import annotations

import gzip
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

CLASS_NAMES = ("T-shirt", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
#: Which classes each embedded expert has seen: the paper's disjoint halves, and both.
EXPERT_CLASSES: dict[str, tuple[int, ...]] = {
    "garments_a": (0, 1, 2, 3, 4),
    "garments_b": (5, 6, 7, 8, 9),
    "garments_ab": (0, 1, 2, 3, 4, 5, 6, 7, 8, 9),
}
DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
HOW_TO_GET = (
    "Install it with 'apt-get install dataset-fashion-mnist' (Debian, Ubuntu), or pass --data FOLDER with the four "
    "idx files (train-images-idx3-ubyte.gz and so on) of github.com/zalandoresearch/fashion-mnist."
)


@dataclass(frozen=True)
class Pictures:
    """Pictures [count, 1, 28, 28] in [-1, 1], float32, and their classes [count], int64."""

    pictures: Tensor
    classes: Tensor

    def of_classes(self, classes: tuple[int, ...]) -> Pictures:
        """Only the pictures whose class is one of `classes`."""
        chosen = torch.isin(self.classes, torch.tensor(classes))
        return Pictures(self.pictures[chosen], self.classes[chosen])


def load_fashion_mnist(split: str, folder: Path | None = None) -> Pictures:
    """Read the split "train" or "test".

    Raises:
        FileNotFoundError: when the data are not there; the message says how to get them.
        ValueError: when a file is not what it should be.
    """
    folder = DEBIAN_FOLDER if folder is None else Path(folder)
    prefix = {"train": "train", "test": "t10k"}[split]
    images = _read_idx(folder, f"{prefix}-images-idx3-ubyte", dimensions=3)
    labels = _read_idx(folder, f"{prefix}-labels-idx1-ubyte", dimensions=1)
    pictures = torch.from_numpy(images).float().div_(127.5).sub_(1).unsqueeze(1)
    return Pictures(pictures, torch.from_numpy(labels).long())


def _read_idx(folder: Path, name: str, dimensions: int) -> np.ndarray:
    for path, opener in ((folder / f"{name}.gz", gzip.open), (folder / name, open)):
        if path.is_file():
            with opener(path, "rb") as file:
                content = file.read()
            break
    else:
        raise FileNotFoundError(f"Fashion-MNIST was not found in {folder} (no {name}.gz). {HOW_TO_GET}")
    header = 4 + 4 * dimensions
    magic, *shape = struct.unpack(f">{dimensions + 1}I", content[:header])
    if magic != 0x0800 + dimensions or len(content) != header + int(np.prod(shape)):
        raise ValueError(f"{path} is not a Fashion-MNIST idx file. {HOW_TO_GET}")
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape).copy()
