"""What a user notes about a run: a name, a note, a star, tags; labels.json in the run's folder."""

from __future__ import annotations

import json
import os
import unicodedata
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import SuperDiffError
from ..system.files import write_whole

LABELS = "labels.json"
#: Letters of a name, a note and a tag; tags of a run.
LONGEST_NAME, LONGEST_NOTE, LONGEST_TAG, MOST_TAGS = 200, 10_000, 60, 20
_MOST_BYTES = 256 * 1024


class LabelError(SuperDiffError):
    """A name, note or tag that cannot be kept."""


@dataclass(frozen=True)
class Labels:
    """A name, a note of several lines, a star, and tags in the order in which they were given."""

    name: str = ""
    note: str = ""
    star: bool = False
    tags: tuple[str, ...] = ()

    def changed(
        self,
        name: str | None = None,
        note: str | None = None,
        star: bool | None = None,
        add: Iterable[str] = (),
        remove: Iterable[str] = (),
    ) -> Labels:
        """These labels with some of them changed; None leaves one as it is.

        Args:
            name: of one line.
            note: of any number of lines.
            star: whether there is one.
            add: tags to add.
            remove: tags to take away.

        Raises:
            LabelError: when one is too long, or there are too many tags.
        """
        gone = {cleaned(tag) for tag in remove}
        tags = list(dict.fromkeys([*self.tags, *filter(None, (cleaned(tag) for tag in add))]))
        tags = [tag for tag in tags if tag not in gone]
        found = replace(
            self,
            name=self.name if name is None else cleaned(name),
            note=self.note if note is None else cleaned(note, lines=True),
            star=self.star if star is None else star,
            tags=tuple(tags),
        )
        for what, text, most in (
            ("name", found.name, LONGEST_NAME),
            ("note", found.note, LONGEST_NOTE),
            *(("tag", tag, LONGEST_TAG) for tag in tags),
        ):
            if len(text) > most:
                raise LabelError(f"This {what} has {len(text):,} letters, and {most:,} are kept; shorten it.")
        if len(tags) > MOST_TAGS:
            raise LabelError(f"A run has at most {MOST_TAGS} tags; remove one first.")
        return found


def cleaned(text: str, lines: bool = False) -> str:
    """A user's text as it is kept: what is no character is replaced, control characters are spaces.

    Args:
        text: of anybody.
        lines: whether ends of lines stay.
    """
    text = text.encode("utf-8", "replace").decode() if any(0xD800 <= ord(letter) < 0xE000 for letter in text) else text
    kept = "".join(
        letter if unicodedata.category(letter) != "Cc" or (lines and letter == "\n") else " " for letter in text
    )
    return kept.strip() if lines else " ".join(kept.split())


def read_labels(folder: Path) -> Labels:
    """The labels in a run's folder; none where there are none. Raises LabelError where they are damaged."""
    path = folder / LABELS
    try:
        if os.path.lexists(path) and not path.is_file():  # reading a pipe may wait for ever
            raise ValueError("no file")
        with path.open("rb") as file:
            found: Any = json.loads(file.read(_MOST_BYTES))
        tags = [str(tag)[:LONGEST_TAG] for tag in found.get("tags", [])][:MOST_TAGS]
        name, note = str(found.get("name", ""))[:LONGEST_NAME], str(found.get("note", ""))[:LONGEST_NOTE]
        tags = list(dict.fromkeys(filter(None, map(cleaned, tags))))
        return Labels(cleaned(name), cleaned(note, lines=True), bool(found.get("star")), tuple(tags))
    except FileNotFoundError:
        return Labels()
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        raise LabelError(
            f"{LABELS} of the run {folder.name} is damaged; its name, note, star and tags are lost."
        ) from None


def write_labels(folder: Path, labels: Labels) -> None:
    """Keep the labels in a run's folder; raises OutputError."""
    write_whole(folder / LABELS, (json.dumps(asdict(labels), ensure_ascii=False, indent=2) + "\n").encode())
