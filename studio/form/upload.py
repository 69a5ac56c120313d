"""Recipes out of uploaded files: JSON, an exported PNG or NPZ. A hostile file gives one sentence, and costs little.

Only the recipe's own bytes are ever unpacked, and never more of them than a recipe may hold.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from ast import literal_eval

from superdiff_engine.domains.checked import parse_recipe
from superdiff_engine.errors import RecipeError
from superdiff_engine.recipes.document import Recipe
from superdiff_engine.system.sandbox import LARGEST_RECIPE

LARGEST_FILE = 32 * 1024 * 1024
#: The keyword of the PNG text chunk that holds the recipe.
PNG_KEYWORD = b"superdiff_recipe"

#: Chunks of a PNG that are looked at; bytes of a zip file's list of members (exports have some dozens).
_MOST_CHUNKS, _LARGEST_DIRECTORY = 4096, 256 * 1024
_PNG = b"\x89PNG\r\n\x1a\n"
_NPY = b"\x93NUMPY"


def recipe_from_file(content: bytes) -> Recipe:
    """The recipe in a file, told apart by its content, not by its name; raises RecipeError."""
    if len(content) > LARGEST_FILE:
        raise RecipeError(f"This file is larger than {LARGEST_FILE // 2**20} MB; exported recipes are smaller.")
    if not content.strip():
        raise RecipeError("This file is empty.")
    if content.startswith(_PNG):
        return parse_recipe(_png_text(content))
    if content.startswith(b"PK\x03\x04"):
        return parse_recipe(_npz_text(content))
    return parse_recipe(content)


def _png_text(content: bytes) -> bytes:
    """The recipe's text chunk of a PNG; the pixels are never decoded."""
    position = len(_PNG)
    for _ in range(_MOST_CHUNKS):
        if position + 12 > len(content):
            break
        length, kind = struct.unpack_from(">I4s", content, position)
        body = content[position + 8 : position + 8 + length]
        if len(body) < length:
            break
        position += 12 + length
        keyword, _, rest = body.partition(b"\0")
        if keyword != PNG_KEYWORD:
            continue
        if kind == b"tEXt":
            return rest
        if kind == b"zTXt" and rest[:1] == b"\0":
            return _inflate(rest[1:])
        if kind == b"iTXt":
            return _international(rest)
    raise RecipeError("This picture holds no recipe; only pictures exported by SuperDiff Studio do.")


def _international(rest: bytes) -> bytes:
    compressed, rest = rest[:1] == b"\1", rest[2:]
    _, _, rest = rest.partition(b"\0")
    _, _, text = rest.partition(b"\0")
    return _inflate(text) if compressed else text


def _inflate(packed: bytes) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        return unpacker.decompress(packed, LARGEST_RECIPE + 1)
    except zlib.error:
        raise RecipeError("The recipe in this picture is damaged.") from None


def _directory_size(content: bytes) -> int:
    """Bytes of a zip file's list of members, all of which `zipfile` takes in when it opens one; endless where it is of
    the kind for more than 65,535 members.
    """
    end = len(content) - 22
    if end < 0 or content[end : end + 4] != b"PK\x05\x06" or content[-2:] != b"\0\0":
        # A comment stands behind the end.
        end = content.rfind(b"PK\x05\x06", max(0, len(content) - 65557))
    if end < 0 or end + 16 > len(content):
        return 0
    if content[max(0, end - 20) :].startswith(b"PK\x06\x07"):
        return 2**64
    return int.from_bytes(content[end + 12 : end + 16], "little")


def _npz_text(content: bytes) -> bytes:
    """The array "recipe" of an NPZ: a single string. Read by hand, since a forged header could ask for any memory."""
    broken = RecipeError("This NPZ holds no recipe; only files exported by SuperDiff Studio do.")
    # numpy stores strings as UTF-32: four bytes a character, after a short header.
    most = 4 * LARGEST_RECIPE + 4096
    if _directory_size(content) > _LARGEST_DIRECTORY:
        raise broken
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            # As numpy packs. What bzip2 and LZMA unpack cannot be bounded: 3 kB become gigabytes at once.
            if archive.getinfo("recipe.npy").compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise broken
            with archive.open("recipe.npy") as member:
                array = member.read(most + 1)
        if len(array) > most or not array.startswith(_NPY):
            raise broken
        start = 10 if array[6] == 1 else 12
        header_length = int.from_bytes(array[8:start], "little")
        header = literal_eval(array[start : start + min(header_length, 1024)].decode("latin-1").strip())
        if header["shape"] != () or header["descr"][:2] != "<U":
            raise broken
        return array[start + header_length :].decode("utf-32-le").rstrip("\0").encode()
    except (zipfile.BadZipFile, zlib.error, KeyError, ValueError, SyntaxError, TypeError, IndexError, EOFError):
        raise broken from None
    except (NotImplementedError, RuntimeError, OSError, RecursionError, MemoryError):
        raise broken from None
