"""Fashion-MNIST, read from the files of Debian's package `dataset-fashion-mnist` or a pack (for training only).

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

from ...errors import ModelError
from ...training.packs import is_pack, read_pack, write_pack

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
SPLITS = ("train", "test")
#: What `read_pack` is asked for: one kind of pack for all models of garments.
PACK = "garments"


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
    return _scaled(*_read_split(split, folder))


def load_splits(data: Path | None = None) -> dict[str, Pictures]:
    """All of SPLITS.

    Args:
        data: a folder as `load_fashion_mnist` reads it, or a pack of `write_garments`.

    Raises:
        FileNotFoundError, ValueError: as `load_fashion_mnist` does.
        ModelError: when a file is not such a pack.
    """
    if data is None or not is_pack(data):
        return {split: load_fashion_mnist(split, data) for split in SPLITS}
    arrays = read_pack(data, PACK)
    try:
        return {split: _scaled(arrays[f"{split}_pictures"], arrays[f"{split}_classes"]) for split in SPLITS}
    except (KeyError, TypeError, ValueError):
        raise ModelError(f"{data} lacks pictures or classes of Fashion-MNIST; write the pack again.") from None


def write_garments(path: Path, folder: Path | None = None) -> Path:
    """Write all of SPLITS as one pack, uint8: pictures [count, 28, 28] and classes [count].

    Raises:
        FileNotFoundError, ValueError: as `load_fashion_mnist` does.
        OutputError: when the pack cannot be written.
    """
    arrays: dict[str, np.ndarray] = {}
    for split in SPLITS:
        images, labels = _read_split(split, folder)
        arrays |= {f"{split}_pictures": images, f"{split}_classes": labels}
    return write_pack(path, PACK, arrays)


def _scaled(images: np.ndarray, labels: np.ndarray) -> Pictures:
    """Pictures of greys uint8 [count, 28, 28] and classes uint8 [count]; ValueError for other arrays."""
    if images.dtype != np.uint8 or images.shape != (len(labels), 28, 28) or labels.shape != (len(images),):
        raise ValueError("Pictures are uint8 [count, 28, 28], with one class each.")
    pictures = torch.from_numpy(images).float().div_(127.5).sub_(1).unsqueeze(1)
    return Pictures(pictures, torch.from_numpy(labels).long())


def _read_split(split: str, folder: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """Greys uint8 [count, 28, 28] and classes uint8 [count]."""
    folder = DEBIAN_FOLDER if folder is None else Path(folder)
    prefix = {"train": "train", "test": "t10k"}[split]
    images = _read_idx(folder, f"{prefix}-images-idx3-ubyte", dimensions=3)
    return images, _read_idx(folder, f"{prefix}-labels-idx1-ubyte", dimensions=1)


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
