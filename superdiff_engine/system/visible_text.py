"""Text of users, files and models on its way to where people read it."""

from __future__ import annotations

import unicodedata

#: Of Unicode: control characters, unseen ones (zero width, direction), halves of characters, and ends of lines.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def visible(text: str, keep: str = "\n\t") -> str:
    """`text` with every character that is not seen but obeyed, such as escape or a change of direction, written out.

    Args:
        text: of anybody.
        keep: control characters that stay as they are.
    """
    seen = (letter in keep or unicodedata.category(letter) not in _UNSEEN for letter in text)
    return "".join(letter if shown else _written(ord(letter)) for letter, shown in zip(text, seen, strict=True))


def _written(code: int) -> str:
    return f"\\x{code:02x}" if code < 1 << 8 else f"\\u{code:04x}" if code < 1 << 16 else f"\\U{code:08x}"
