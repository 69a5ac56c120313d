"""A recipe's document as a link's text, and back."""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from typing import Any

from ..errors import RecipeError
from ..system.sandbox import LARGEST_RECIPE


def link_of(document: dict[str, Any]) -> str:
    """A recipe's document as text for a query parameter, whether it is valid or not."""
    packed = zlib.compress(json.dumps(document, separators=(",", ":")).encode(), 9)
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def text_of_link(link: str) -> bytes:
    """The JSON that `link_of` packed, not validated; raises RecipeError on anything else."""
    broken = RecipeError("This link holds no valid recipe: it was cut off or changed on the way.")
    if len(link) > LARGEST_RECIPE:
        raise broken
    try:
        packed = base64.b64decode(link + "=" * (-len(link) % 4), altchars=b"-_", validate=True)
        unpacker = zlib.decompressobj()
        # A few bytes can unpack to gigabytes: read no more than a recipe may hold.
        text = unpacker.decompress(packed, LARGEST_RECIPE + 1)
    except (binascii.Error, ValueError, zlib.error):
        raise broken from None
    if not unpacker.eof:
        raise broken
    return text
