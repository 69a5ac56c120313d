"""The records of an SDF, one after another, each brought into the form that RDKit reads without doubt.

Files of programs and people are odd: ends are missing, lines are short, blank ones are added, data items are in any
encoding. Whatever a record looks like, it is one `Record` with its own number, so that nothing vanishes and nothing is
renumbered. Only atoms, bonds, charges and the recipe are taken; titles, other data items, and fields of atoms that are
meant for queries are dropped.
"""

from __future__ import annotations

import codecs
import io
import math
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ...system.sandbox import LARGEST_RECIPE
from .atoms import FEWEST_ATOMS, MOST_ATOMS

#: The data field of an SDF that holds the recipe, as JSON in one line.
RECIPE_FIELD = "superdiff_recipe"
#: At most: lines of a record before its data items (999 atoms and bonds, with properties), Angstrom from the origin.
_MOST_LINES = 8192
FARTHEST = 1000.0
_COUNTS = re.compile(rb"[ \d]{6}.*V[23]000\s*", re.IGNORECASE)
_OLD_COUNTS = re.compile(rb"[ \d]{2}\d[ \d]{2}\d(\s+\d+)*\s*")
_PROPERTIES = ("M  CHG", "M  RAD", "M  ISO")


class Refused(Exception):
    """Why a record is not read: what follows "molecule 3 ..."."""


@dataclass
class Record:
    """A record as it stands in the file.

    Attributes:
        number: counted from 1.
        lines: of the molecule, from its title to its end.
        recipe: the JSON of the data item RECIPE_FIELD; None without it.
        more: whether something stands below the lines that are kept.
    """

    number: int
    lines: list[bytes] = field(default_factory=list)
    recipe: str | None = None
    more: bool = False

    @property
    def blank(self) -> bool:
        """Whether there is nothing in it; a Ctrl+Z is the end of an old DOS file."""
        return not self.more and not any(map(_letters, self.lines))

    def counts_at(self) -> int | None:
        """Which line says how many atoms and bonds follow; the fourth, as a rule."""
        for index, line in enumerate(self.lines[:12]):
            if _COUNTS.fullmatch(line):
                return index
        return 3 if len(self.lines) > 3 and _OLD_COUNTS.fullmatch(self.lines[3]) else None


def _letters(line: bytes) -> bytes:
    return line.strip(b" \t\x1a\0")


def records(content: bytes) -> Iterator[Record]:
    """The records of a file, lazily; blank lines after the last one are none."""
    for mark, encoding in ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")):
        if content.startswith(mark):
            content = content.decode(encoding, "replace").encode()
    content = content.removeprefix(codecs.BOM_UTF8).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    record, counted, ended = Record(1), False, False
    item: list[bytes] | None = None
    before: deque[bytes] = deque(maxlen=3)
    for line in io.BytesIO(content):
        line = line.rstrip(b"\n")
        if line.startswith(b"$$$$"):
            yield _with_recipe(record, item)
            record, counted, ended, item = Record(record.number + 1), False, False, None
            before.clear()
            continue
        if _COUNTS.fullmatch(line):
            if counted:
                # The next molecule, without a "$$$$" before it; its title and the two lines below are seen already.
                if not ended:
                    del record.lines[len(record.lines) - len(before) :]
                yield _with_recipe(record, item)
                record, ended, item = Record(record.number + 1, list(before)), False, None
            counted = True
        if counted and line.startswith(b">"):
            ended, item = True, [] if b"<" + RECIPE_FIELD.encode() + b">" in line else None
        elif item is not None and line.strip() and sum(map(len, item)) <= LARGEST_RECIPE:
            item.append(line)
        elif not ended and len(record.lines) < _MOST_LINES:
            record.lines.append(line)
        elif not line.strip():
            record, item = _with_recipe(record, item), None
        elif _letters(line):
            record.more = True
        before.append(line)
        if line.startswith(b"M  END"):
            ended = True
            before.clear()
    if not record.blank:
        yield _with_recipe(record, item)


def _with_recipe(record: Record, item: list[bytes] | None) -> Record:
    if item and record.recipe is None:
        record.recipe = b"".join(item).decode("utf-8", "replace")[:LARGEST_RECIPE]
    return record


def mol_block(record: Record) -> tuple[str, str]:
    """A record as RDKit reads it, and its dimensions as its header says: "2D", "3D" or "".

    Raises:
        Refused: no such record, damaged, too many atoms, coordinates out of range.
    """
    if record.blank:
        raise Refused("is empty")
    at = record.counts_at()
    if at is None:
        raise Refused("is not in the SDF format, or damaged: no line says how many atoms it has")
    lines = [line.decode("ascii", "replace").replace("�", "?") for line in record.lines]
    code = lines[at - 2][20:22].upper() if at > 1 else ""
    v3000 = lines[at].rstrip().upper().endswith("V3000")
    body = _v3000(lines[at + 1 :]) if v3000 else _v2000(lines[at], lines[at + 1 :])
    return "\n".join(["", "  SuperDiff         3D", "", *body, "M  END", ""]), code if code in ("2D", "3D") else ""


def _v2000(counts: str, lines: list[str]) -> list[str]:
    atoms, bonds = (_count(counts[start : start + 3]) for start in (0, 3))
    _check_size(atoms)
    if len(lines) < atoms + bonds:
        raise Refused(f"is damaged: it is cut off after {len(lines)} of {atoms + bonds} lines of atoms and bonds")
    body = [f"{atoms:3d}{bonds:3d}  0  0  0  0  0  0  0  0999 V2000"]
    for line in lines[:atoms]:
        _check_places(line[start : start + 10] for start in (0, 10, 20))
        # Behind the charge stand fields for queries, and the valence, which is taken where it is one.
        valence = line[48:51].strip()
        kept = int(valence) if valence.isdecimal() and int(valence) <= 15 else 0
        body.append(f"{line[:39].ljust(34)[:34]}{line[34:39].ljust(5)}  0  0  0{kept:3d}")
    body += [f"{line[:9]}  0" for line in lines[atoms : atoms + bonds]]
    return body + [line for line in lines[atoms + bonds :] if line.startswith(_PROPERTIES)]


def _v3000(lines: list[str]) -> list[str]:
    """The atoms and bonds of an extended record, without its other blocks."""
    start = "M  V30 "
    whole, unfinished = [], ""
    for line in lines:
        if line[:7].upper() != start:
            continue
        text = line[7:].rstrip()
        if text.endswith("-"):
            unfinished += text[:-1]
        else:
            whole.append((unfinished + text).split())
            unfinished = ""
    counts = next((words for words in whole if words[:1] == ["COUNTS"]), [])
    atoms, bonds = (_count(word) for word in [*counts[1:3], "", ""][:2])
    _check_size(atoms)
    blocks: dict[str, list[list[str]]] = {"ATOM": [], "BOND": []}
    block = ""
    for words in whole:
        if words[:1] in (["BEGIN"], ["END"]):
            block = words[1] if words[0] == "BEGIN" and len(words) > 1 else ""
        elif block in blocks:
            blocks[block].append(words)
    for name, most in (("ATOM", atoms), ("BOND", bonds)):
        if len(blocks[name]) != most:
            raise Refused(f"is damaged: it says {most} {name.lower()}s and has {len(blocks[name])}")
    body = ["  0  0  0     0  0            999 V3000", start + "BEGIN CTAB", f"{start}COUNTS {atoms} {bonds} 0 0 0"]
    for name, size in (("ATOM", 6), ("BOND", 4)):
        body.append(f"{start}BEGIN {name}")
        for words in blocks[name]:
            if name == "ATOM":
                _check_places(words[2:5])
            kept = [word for word in words[size:] if word.startswith(("CHG=", "RAD=", "MASS="))]
            body.append(start + " ".join(words[:size] + kept))
        body.append(f"{start}END {name}")
    return [*body, start + "END CTAB"]


def _count(text: str) -> int:
    if not text.strip().isdecimal():
        raise Refused("is not in the SDF format, or damaged: it does not say how many atoms and bonds it has")
    return int(text)


def _check_size(atoms: int) -> None:
    if not 1 <= atoms <= MOST_ATOMS:
        raise Refused(size_sentence(atoms))


def size_sentence(atoms: int) -> str:
    """Why a molecule of so many atoms is not read."""
    some = f"{atoms} atom{'' if atoms == 1 else 's'}"
    return f"has {some}; the models know molecules of {FEWEST_ATOMS} to {MOST_ATOMS}, hydrogens included"


def _check_places(texts: Iterable[str]) -> None:
    try:
        places = [float(text) for text in texts]
    except ValueError:
        places = []
    if len(places) != 3 or not all(math.isfinite(place) and abs(place) <= FARTHEST for place in places):
        raise Refused("has coordinates that are no places of a molecule")
