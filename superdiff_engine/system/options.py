"""Settings whose fields are options of the command line: what a field says of itself there."""

from __future__ import annotations

from typing import Any


def option(help: str, least: float | None = None, most: float | None = None, elsewhere: str = "") -> dict[str, Any]:
    """The metadata of a dataclass's field that is an option of a command; fields without are none.

    Args:
        help: for the command line.
        least: the smallest number allowed.
        most: the largest.
        elsewhere: what is said where it is given to what lacks it, with "{name}" for that; "" for the usual sentence.
    """
    return {"help": help, "least": least, "most": most, "elsewhere": elsewhere}
