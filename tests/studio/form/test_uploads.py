"""Recipes out of uploaded files, honest and hostile."""

import io
import struct
import zipfile
import zlib

import numpy as np
import pytest

from studio.form.upload import LARGEST_FILE, recipe_from_file
from superdiff_engine.domains import get_domain
from superdiff_engine.domains.checked import make_recipe
from superdiff_engine.errors import RecipeError
from superdiff_engine.runs.formats import samples_npz
from superdiff_engine.runs.run import Run

PNG = b"\x89PNG\r\n\x1a\n"
RECIPE = make_recipe({"domain": "plane", "experts": [{"model": "ring"}], "levels": {"steps": 2}, "batch": 4, "seed": 7})


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def npz(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def forged_npz(header):
    """An NPZ whose "recipe" has any header at all."""
    array = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + b"x" * 64
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("recipe.npy", array)
    return buffer.getvalue()


def packed_npz(compression, content=b" " * 2**24, damage=False):
    """A zip whose "recipe" is packed as numpy packs none."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        archive.writestr("recipe.npy", content)
    whole = bytearray(buffer.getvalue())
    if damage:
        whole[60:90] = bytes(30)
    return bytes(whole)


def crowded_zip(comment=b""):
    """A zip of more members than an export has, empty ones."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for index in range(20_000):
            archive.writestr(f"{index}.npy", b"")
        archive.comment = comment
    return buffer.getvalue()


@pytest.fixture(scope="module")
def result():
    return Run(RECIPE).execute()


def test_json(result):
    assert recipe_from_file(RECIPE.to_json().encode()) == RECIPE


def test_an_exported_png(result):
    assert recipe_from_file(get_domain("plane").preview_png(result)) == RECIPE


def test_an_exported_npz(result):
    assert recipe_from_file(samples_npz(result)) == RECIPE


def test_a_compressed_text_chunk():
    body = b"superdiff_recipe\0\0" + zlib.compress(RECIPE.to_json().encode())
    assert recipe_from_file(PNG + chunk(b"zTXt", body)) == RECIPE


HOSTILE = {
    "nothing": b"",
    "blank": b" \n ",
    "binary": bytes(range(256)),
    "JSON, no object": b"[1, 2]",
    "JSON, deep": b"[" * 60_000,
    "JSON, unknown field": b'{"domain": "plane", "experts": [{"model": "ring"}], "path": "/etc/passwd"}',
    "a path as a model": b'{"domain": "plane", "experts": [{"model": "../../etc/passwd"}]}',
    "too large": b" " * (LARGEST_FILE + 1),
    "PNG, no recipe": PNG + chunk(b"IHDR", b"\0" * 13) + chunk(b"IEND", b""),
    "PNG, cut off": PNG + struct.pack(">I", 2**31) + b"tEXtsuperdiff_recipe\0{}",
    "PNG, bomb": PNG + chunk(b"zTXt", b"superdiff_recipe\0\0" + zlib.compress(b" " * 10**7)),
    "PNG, damaged": PNG + chunk(b"zTXt", b"superdiff_recipe\0\0nothing zlib knows"),
    "zip, no NPZ": forged_npz(b"")[:40],
    "NPZ, no recipe": npz(samples=np.zeros(3)),
    "NPZ, recipe of numbers": npz(recipe=np.zeros(3)),
    "NPZ, pickled": npz(recipe=np.array({"domain": "plane"}, dtype=object)),
    "NPZ, huge by its header": forged_npz(b"{'descr': '<U99999999999', 'fortran_order': False, 'shape': (99999999,)}"),
    "NPZ, header of code": forged_npz(b"__import__('os').system('true')"),
    "NPZ, empty header": forged_npz(b""),
    "NPZ, by bzip2": packed_npz(zipfile.ZIP_BZIP2),
    "NPZ, by LZMA": packed_npz(zipfile.ZIP_LZMA),
    "NPZ, by bzip2, damaged": packed_npz(zipfile.ZIP_BZIP2, damage=True),
    "NPZ, by LZMA, damaged": packed_npz(zipfile.ZIP_LZMA, damage=True),
    "NPZ, deflated, damaged": packed_npz(zipfile.ZIP_DEFLATED, damage=True),
    "NPZ, deflated bomb": packed_npz(zipfile.ZIP_DEFLATED),
    "NPZ, many members": crowded_zip(),
    "NPZ, many members and a comment": crowded_zip(b"PK\x05\x06 not the end"),
    "PNG, many chunks": PNG + chunk(b"tEXt", b"") * 500_000,
}


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_cannot_be_unpacked_within_bounds_is_not_unpacked(compression, monkeypatch):
    """3 kB of bzip2 become gigabytes in one step, whatever is asked of it."""
    content, asked = packed_npz(compression), []
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_, **__: asked.append(1))
    with pytest.raises(RecipeError, match="holds no recipe"):
        recipe_from_file(content)
    assert not asked


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_files_give_one_sentence(content):
    with pytest.raises(RecipeError) as caught:
        recipe_from_file(content)
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert len(sentence) < 300
