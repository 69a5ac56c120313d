"""A lesson's document as it is written: its head, its sections, blocks of TOML and pictures, each with its line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..domains import domains
from ..errors import SuperDiffError, quoted
from ..system.files import read_bounded
from .lesson import Picture, Text

__all__ = ["DOCUMENT", "FILE", "LONGEST", "SECTIONS", "Document", "LessonError", "Lines", "Problem"]

DOCUMENT = "lesson.md"
SECTIONS = ("Read", "Predict", "Run", "Explain", "Try")
#: Keys of the head, with the letters that a text may have, and the least and most of a number.
LONGEST = {"title": 80, "summary": 160, "domain": 60}
_NUMBERS = {"minutes": (1, 60), "order": (0, 100_000)}
#: Bytes of a document and of a picture.
_LARGEST, _LARGEST_PICTURE = 256 * 1024, 4 * 1024**2
_PICTURES = (".png", ".jpg", ".jpeg", ".svg")

#: The name of a file of a lesson's folder.
FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})\s*(\S*)")
_HEADING = re.compile(r"(#{1,2})\s+(.*?)\s*#*\s*$")
_PICTURE = re.compile(r"!\[([^\]]*)\]\(([^)]*)\)")
_LINE_OF_TOML = re.compile(r"\s*\(at (?:line (\d+), column \d+|end of document)\)$")


@dataclass(frozen=True)
class Problem:
    """What is wrong with a lesson.

    Attributes:
        path: of the file, or of the folder.
        line: in the file, from 1; None where it is the whole.
        sentence: what is wrong and what to do.
    """

    path: Path
    line: int | None
    sentence: str

    def __str__(self) -> str:
        return f"{self.path}{'' if self.line is None else f':{self.line}'}: {self.sentence}"


class LessonError(SuperDiffError):
    """A lesson cannot be read; `problems` are all that was found, one or more."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, problems)))


@dataclass(frozen=True)
class Lines:
    """Lines of the document, and the number of the first one, from 1."""

    first: int
    lines: tuple[str, ...]

    def find(self, pattern: str) -> int:
        """The number of the first line that a pattern matches, else of the first line."""
        found = (place for place, line in enumerate(self.lines) if re.search(pattern, line))
        return self.first + next(found, 0)

    def find_key(self, name: str) -> int:
        """The number of the first line that sets a key of TOML, or heads its table, else of the first line."""
        word = rf"[\"']?{re.escape(name)}[\"']?"
        return self.find(rf"(^|[{{,\s]){word}\s*=|^\s*\[+[^\]]*\b{re.escape(name)}\b")

    def since(self, line: int) -> Lines:
        """From the line of this number on."""
        return Lines(line, self.lines[line - self.first :])

    @property
    def text(self) -> str:
        """All of them."""
        return "\n".join(self.lines)


class Document:
    """The document of a folder, and all that is found to be wrong.

    Args:
        folder: of the lesson.

    Attributes:
        problems: so far.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / DOCUMENT
        self.problems: list[Problem] = []

    def wrong(self, sentence: str, line: int | None = None, path: Path | None = None) -> None:
        """Note a problem: of a line of the document, of the whole, or of another file."""
        self.problems.append(Problem(path or self.path, line, sentence))

    def read(self) -> Lines:
        try:
            content = read_bounded(self.path, _LARGEST)
        except (SuperDiffError, OSError):
            self.wrong(f"There is no {DOCUMENT} to read in this folder; write one.", path=self.folder)
            raise LessonError(self.problems) from None
        if len(content) > _LARGEST:
            self.wrong(f"This is longer than {_LARGEST // 1024} KiB; a lesson is a short text.")
            raise LessonError(self.problems)
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            self.wrong("This is not UTF-8; save it as such.", content[: error.start].count(b"\n") + 1)
            raise LessonError(self.problems) from None
        for number, line in enumerate(text.splitlines(), 1):
            if any(ord(letter) < 32 and letter != "\t" for letter in line):
                self.wrong("This line holds a control character; remove it.", number)
        return Lines(1, tuple(text.splitlines()))

    def head(self, document: Lines) -> tuple[dict[str, Any], Lines]:
        """The head's values, usual ones where they are wrong, and what follows."""
        lines = [line.rstrip() for line in document.lines]
        values: dict[str, Any] = {}
        end = next((place for place, line in enumerate(lines[1:], 1) if line == "---"), 0)
        if not lines or lines[0] != "---" or not end:
            self.wrong("A lesson begins with its head, lines such as 'title: Noise' between two lines '---'.", 1)
            end = -1
        for number, line in enumerate(lines[1 : max(end, 0)], 2):
            key, colon, value = (part.strip() for part in line.partition(":"))
            if not line.strip():
                continue
            if not colon or key not in {*LONGEST, *_NUMBERS}:
                known = ", ".join([*LONGEST, *_NUMBERS])
                self.wrong(f"'{quoted(line)}' is no line of a head; there are {known}, each with a colon.", number)
            elif key in values:
                self.wrong(f"'{key}' is there twice; remove one.", number)
            else:
                values[key] = self._of_head(key, value, number)
        for key in (*LONGEST, *_NUMBERS):
            if key not in values and end > 0:
                self.wrong(f"The head lacks '{key}'; add a line '{key}: ...'.", 1)
            values.setdefault(key, "" if key in LONGEST else 1)
        return values, Lines(end + 2, document.lines[end + 1 :])

    def _of_head(self, key: str, value: str, number: int) -> str | int:
        if key in _NUMBERS:
            least, most = _NUMBERS[key]
            if not re.fullmatch(r"[0-9]{1,9}", value) or not least <= int(value) <= most:
                self.wrong(f"'{key}' is a whole number from {least} to {most}, not '{quoted(value)}'.", number)
                return least
            return int(value)
        if not value or len(value) > LONGEST[key]:
            self.wrong(f"'{key}' has 1 to {LONGEST[key]} letters, not {len(value)}.", number)
        if key == "domain" and value and value not in domains():
            self.wrong(f"'domain' is one of {', '.join(domains())}, not '{quoted(value)}'.", number)
        return value

    def sections(self, body: Lines) -> dict[str, Lines]:
        """The five sections by their titles; empty ones where they are missing."""
        found: dict[str, Lines] = {}
        began: tuple[str, int] | None = None
        order = []
        lines = [*body.lines, None]
        fence = ""
        for place, line in enumerate(lines):
            if line is not None:
                mark = _FENCE.match(line)
                if mark is not None and (not fence or (mark[1].startswith(fence) and not mark[2])):
                    fence = "" if fence else mark[1]
                    continue
                heading = None if fence else _HEADING.match(line)
                if heading is None:
                    if began is None and line.strip():
                        self.wrong("The text begins with a section: '## Read'.", body.first + place)
                        began = ("", place)
                    continue
                title = heading[2]
                if len(heading[1]) == 1 or title not in SECTIONS or title in order:
                    what = "is there twice" if title in order else "is no section"
                    self.wrong(
                        f"'{quoted(heading[0])}' {what}; there are {', '.join('## ' + one for one in SECTIONS)}, each "
                        "once, and headings within them begin with ###.",
                        body.first + place,
                    )
                    continue
                order.append(title)
            if began is not None and began[0]:
                found[began[0]] = Lines(body.first + began[1] + 1, body.lines[began[1] + 1 : place])
            if line is not None:
                began = (title, place)
        missing = [name for name in SECTIONS if name not in found]
        if missing:
            self.wrong(f"The section {' and '.join('## ' + name for name in missing)} is missing; add it.", body.first)
        elif order != list(SECTIONS):
            self.wrong(f"The sections come in this order: {', '.join(SECTIONS)}.", found[order[0]].first - 1)
        for name, lines_of in found.items():
            if not lines_of.text.strip():
                self.wrong(f"The section ## {name} is empty; write it.", lines_of.first - 1)
        return {name: found.get(name, Lines(body.first, ())) for name in SECTIONS}

    def prose(self, section: Lines) -> Text:
        """Markdown, with pictures on lines of their own."""
        parts: list[str | Picture] = []
        held: list[str] = []
        fence = ""
        for number, line in enumerate(section.lines, section.first):
            mark = _FENCE.match(line)
            if mark is not None and (not fence or (mark[1].startswith(fence) and not mark[2])):
                fence = "" if fence else mark[1]
            found = None if fence else _PICTURE.search(line)
            if found is None and "![" in line and not fence:
                self.wrong("A picture is written ![what it shows](name.png), on one line.", number)
            if found is None:
                held.append(line)
                continue
            if found[0] != line.strip():
                self.wrong("A picture stands on a line of its own.", number)
                continue
            picture = self._picture(found[2], found[1], number)
            if picture is not None:
                parts += ["\n".join(held), picture]
                held = []
        if fence:
            self.wrong("A block of code begins here or above and does not end; close it.", section.first)
        parts.append("\n".join(held))
        return tuple(part for part in parts if isinstance(part, Picture) or part.strip())

    def _picture(self, name: str, alt: str, number: int) -> Picture | None:
        path = self.folder / name
        if not alt.strip():
            self.wrong("A picture needs words for those who do not see it: ![what it shows](name.png).", number)
        if not FILE.fullmatch(name) or path.suffix.lower() not in _PICTURES:
            self.wrong(
                f"A picture is a file of the lesson's folder that ends in {', '.join(_PICTURES)}, "
                f"not '{quoted(name)}'.",
                number,
            )
            return None
        if not path.is_file():
            self.wrong(f"There is no file '{name}' in this folder; add it.", number)
            return None
        if path.stat().st_size > _LARGEST_PICTURE:
            self.wrong(f"'{name}' is larger than {_LARGEST_PICTURE // 1024**2} MiB; make it smaller.", number)
        return Picture(path, alt.strip())

    def block(self, section: Lines) -> tuple[Lines, Lines | None]:
        """A section without its block of TOML, whose lines stay as empty ones; and the block's inner lines."""
        fence = ""
        rest: list[str] = []
        blocks: list[Lines] = []
        inside: list[str] = []
        began = 0
        for number, line in enumerate(section.lines, section.first):
            mark = _FENCE.match(line)
            if not fence and mark is not None and mark[2] == "toml":
                fence, began, inside = mark[1], number, []
                rest.append("")
            elif fence and mark is not None and mark[1].startswith(fence) and not mark[2]:
                fence = ""
                blocks.append(Lines(began + 1, tuple(inside)))
                rest.append("")
            elif fence:
                inside.append(line)
                rest.append("")
            else:
                rest.append(line)
        if fence:
            self.wrong("This block does not end; close it with ```.", began)
        if len(blocks) > 1:
            self.wrong("A section has one block ```toml; put them together.", blocks[1].first - 1)
        return Lines(section.first, tuple(rest)), blocks[0] if blocks else None

    def toml(self, block: Lines | None) -> dict[str, Any]:
        if block is None:
            return {}
        try:
            return tomllib.loads(block.text + "\n")
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            found = _LINE_OF_TOML.search(str(error))
            line = block.first + (int(found[1]) - 1 if found and found[1] else len(block.lines) - 1)
            said = _LINE_OF_TOML.sub("", str(error))
            self.wrong(f"This is not TOML: {said[:1].lower()}{said[1:]}.", line)
            return {}
