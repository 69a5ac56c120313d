"""SentencePiece's unigram models, read without the library: T5's authors publish their pieces as `spiece.model`.

The file is a Protocol Buffer (protobuf.dev/programming-guides/encoding): fields of (number, kind, value). Of
SentencePiece's ModelProto two are used: 1, a piece each (1 its text, 2 its score, a float), and 3, the normaliser (2
its table of letters).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ...errors import ModelError

__all__ = ["Pieces", "read_pieces"]

#: Bytes of a file that is read: MolT5's has 0.8 MB.
_LARGEST = 32 * 2**20
_VARINT, _EIGHT, _TEXT, _FOUR = 0, 1, 2, 5


@dataclass(frozen=True)
class Pieces:
    """A unigram model: pieces with their scores, log-probabilities, by their ids; and the normaliser's table."""

    scores: tuple[tuple[str, float], ...]
    letters: bytes


def read_pieces(file: Path) -> Pieces:
    """The pieces in a `spiece.model`; raises ModelError in one sentence."""
    try:
        if file.stat().st_size > _LARGEST:
            raise ModelError(f"{file} is too large for a SentencePiece model; give MolT5's folder as it is published.")
        scores, letters = [], b""
        for number, value in _fields(file.read_bytes()):
            if number == 1 and isinstance(value, bytes):
                piece = dict(_fields(value))
                score = piece.get(2, 0.0)
                scores.append((_text(piece.get(1)), float(score) if isinstance(score, float) else 0.0))
            elif number == 3 and isinstance(value, bytes):
                table = dict(_fields(value)).get(2, b"")
                letters = table if isinstance(table, bytes) else b""
    except OSError as error:
        raise ModelError(f"{file} cannot be read: {error.strerror or error}.") from None
    except (ValueError, IndexError, struct.error):
        scores = []
    if len(scores) < 3:
        raise ModelError(f"{file} is no SentencePiece model; give MolT5's folder as its authors published it.")
    return Pieces(tuple(scores), letters)


def _text(value: int | float | bytes | None) -> str:
    if not isinstance(value, bytes):
        raise ValueError("a piece without text")
    return value.decode()


def _fields(content: bytes) -> Iterator[tuple[int, int | float | bytes]]:
    """(number, value) of each field of a message; raises ValueError or IndexError where it is none."""
    at = 0
    while at < len(content):
        head, at = _varint(content, at)
        kind = head & 7
        if kind == _VARINT:
            value, at = _varint(content, at)
            yield head >> 3, value
        elif kind == _TEXT:
            length, at = _varint(content, at)
            if length > len(content) - at:
                raise ValueError("a field that ends beyond the file")
            yield head >> 3, content[at : at + length]
            at += length
        elif kind in (_FOUR, _EIGHT):
            size, code = (4, "<f") if kind == _FOUR else (8, "<d")
            yield head >> 3, struct.unpack(code, content[at : at + size])[0]
            at += size
        else:
            raise ValueError("a field of an unknown kind")


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number that is too long")
