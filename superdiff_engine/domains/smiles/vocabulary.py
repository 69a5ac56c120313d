"""The pieces that LDMol writes SMILES with: a text file of the official repository, one piece a line.

A line's number, from 0, is the piece's id; "##" before a piece says that it may follow another, which all but the four
special ones may. The file is its authors', so it is not kept here: whoever has the weights has it beside them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ...errors import ModelError, quoted

#: What stands for nothing, for the start and for the end of a molecule.
PADDING, START, END = "[PAD]", "[CLS]", "[SEP]"
#: The official file's name, its pieces, and how large a file is read at most.
FILE, PIECES, MOST_BYTES = "vocab_bpe_300_sc.txt", 300, 100_000


@dataclass(frozen=True)
class Vocabulary:
    """Pieces of SMILES by their ids.

    Attributes:
        pieces: the letters that each id stands for; [PAD] is the first.
    """

    pieces: tuple[str, ...]

    @classmethod
    def read(cls, file: Path, pieces: int = PIECES) -> Vocabulary:
        """The vocabulary in a file like LDMol's vocab_bpe_300_sc.txt.

        Args:
            file: UTF-8, one piece a line.
            pieces: how many there are to be: as many as the decoder chooses from.

        Raises:
            ModelError: in one sentence, if the file cannot be read or is no such vocabulary.
        """
        advice = f"give LDMol's {FILE} as its repository has it."
        try:
            with file.open("rb") as opened:
                content = opened.read(MOST_BYTES + 1)
            if len(content) > MOST_BYTES:
                raise ModelError(f"{file} is too large for a vocabulary of {pieces} pieces; {advice}")
            # Not splitlines(), which also breaks at letters that a strange file may have within a line.
            lines = content.decode().replace("\r\n", "\n").removesuffix("\n").split("\n")
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise ModelError(f"The vocabulary {file} could not be read ({why}); {advice}") from None
        except UnicodeDecodeError:
            raise ModelError(f"{file} is no text, so no vocabulary; {advice}") from None
        if len(lines) != pieces:
            raise ModelError(f"{file} has {len(lines):,} lines where the decoder has {pieces} pieces; {advice}")
        found = tuple(line.strip().removeprefix("##") for line in lines)
        for number, piece in enumerate(found, 1):
            if not piece or not piece.isascii() or not piece.isprintable() or " " in piece:
                raise ModelError(
                    f"Line {number} of {file}, '{quoted(lines[number - 1])}', is no piece of SMILES; {advice}"
                )
        if found[0] != PADDING or any(found.count(special) != 1 for special in (PADDING, START, END)):
            raise ModelError(
                f"{file} does not begin with {PADDING}, or lacks {START} or {END}, or has them twice; {advice}"
            )
        return cls(found)

    @property
    def start(self) -> int:
        """The id that every molecule begins with."""
        return self.pieces.index(START)

    @property
    def end(self) -> int:
        """The id that ends a molecule."""
        return self.pieces.index(END)

    @property
    def padding(self) -> int:
        """The id that stands for nothing."""
        return self.pieces.index(PADDING)

    def smiles(self, ids: Iterable[int]) -> str:
        """The text of a molecule's pieces, without its start, up to its end or to the first padding."""
        text = []
        for number in ids:
            if number in (self.end, self.padding):
                break
            text.append(self.pieces[number])
        return "".join(text)
