import gzip
import struct

import numpy as np
import pytest
import torch

from superdiff_engine.domains.pictures.data import load_fashion_mnist


def write_idx(path, array):
    header = struct.pack(f">{array.ndim + 1}I", 0x0800 + array.ndim, *array.shape)
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wb") as file:
        file.write(header + array.tobytes())


def test_reads_pictures_and_classes_of_both_splits(tmp_path):
    pictures = np.random.default_rng(0).integers(0, 256, (6, 28, 28), dtype=np.uint8)
    pictures[0, 0, 0], pictures[0, 0, 1] = 0, 255
    classes = np.array([0, 1, 5, 9, 1, 4], np.uint8)
    write_idx(tmp_path / "train-images-idx3-ubyte.gz", pictures)
    write_idx(tmp_path / "train-labels-idx1-ubyte.gz", classes)
    write_idx(tmp_path / "t10k-images-idx3-ubyte", pictures[:2])  # unpacked by hand
    write_idx(tmp_path / "t10k-labels-idx1-ubyte", classes[:2])
    data = load_fashion_mnist("train", tmp_path)
    assert data.pictures.shape == (6, 1, 28, 28)
    assert data.pictures[0, 0, 0, 0] == -1
    assert data.pictures[0, 0, 0, 1] == 1
    assert torch.equal(((data.pictures[:, 0] + 1) * 127.5).round().byte(), torch.from_numpy(pictures))
    assert data.of_classes((0, 1)).classes.tolist() == [0, 1, 1]
    assert load_fashion_mnist("test", tmp_path).classes.tolist() == [0, 1]


def test_says_how_to_get_the_data(tmp_path):
    with pytest.raises(FileNotFoundError, match="apt-get install dataset-fashion-mnist"):
        load_fashion_mnist("train", tmp_path)


def test_refuses_a_file_that_was_cut_off(tmp_path):
    write_idx(tmp_path / "train-images-idx3-ubyte.gz", np.zeros((2, 28, 28), np.uint8))
    content = gzip.decompress((tmp_path / "train-images-idx3-ubyte.gz").read_bytes())
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(content[:-5]))
    with pytest.raises(ValueError, match="not a Fashion-MNIST idx file"):
        load_fashion_mnist("train", tmp_path)
