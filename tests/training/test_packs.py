"""Packs: what comes out is what went in, nothing in them is run, and what is no pack is said so."""

import io
import pickle
import zipfile

import numpy as np
import pytest

from superdiff_engine.errors import ModelError, OutputError
from superdiff_engine.training import packs
from superdiff_engine.training.packs import is_pack, read_pack, write_pack


def test_arrays_come_back_as_they_were(tmp_path):
    arrays = {"bonds": np.arange(7, dtype=np.uint8), "text": np.array("é, 'x'"), "there": np.eye(3, dtype=bool)}
    path = write_pack(tmp_path / "deep" / "one.pack", "molecules", arrays)
    found = read_pack(path, "molecules")
    assert found.keys() == arrays.keys()
    for name, value in arrays.items():
        assert np.array_equal(found[name], value) and found[name].dtype == value.dtype
    assert is_pack(path) and not is_pack(tmp_path) and not is_pack(None)


def test_a_pack_that_would_not_travel_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(packs, "LARGEST", 5_000)
    noise = np.random.default_rng(0).integers(0, 256, 20_000, dtype=np.uint8)
    with pytest.raises(OutputError, match="holds at most"):
        write_pack(tmp_path / "large.pack", "molecules", {"noise": noise})
    assert not list(tmp_path.iterdir())


def test_other_packs_and_other_files_are_one_sentence(tmp_path, monkeypatch):
    path = write_pack(tmp_path / "one.pack", "garments", {"pictures": np.arange(5000)})
    with pytest.raises(ModelError, match="the data of 'garments', and this model learns from those of 'emoji'"):
        read_pack(path, "emoji")
    whole = path.read_bytes()
    for size in (0, 1, 40, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut.pack").write_bytes(whole[:size])
        with pytest.raises(ModelError, match="cut off"):
            read_pack(tmp_path / "cut.pack", "garments")
    turned = bytearray(whole)
    turned[len(whole) // 3] ^= 255
    (tmp_path / "turned.pack").write_bytes(bytes(turned))
    with pytest.raises(ModelError, match="cut off"):
        read_pack(tmp_path / "turned.pack", "garments")
    (tmp_path / "text.pack").write_text("a recipe, perhaps")
    with pytest.raises(ModelError, match="no pack"):
        read_pack(tmp_path / "text.pack", "garments")
    monkeypatch.setattr(packs, "VERSION", 2)
    with pytest.raises(ModelError, match="another version"):
        read_pack(path, "garments")


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was run",))


def test_nothing_in_a_pack_is_run(tmp_path):
    path = tmp_path / "bomb.pack"
    objects = np.array([Bomb()], dtype=object)
    for content in (pickle.dumps(objects), _npy(objects)):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("pack.npy", content)
        with pytest.raises(ModelError, match="no pack"):
            read_pack(path, "garments")


def _npy(value):
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, value, allow_pickle=True)
    return buffer.getvalue()
