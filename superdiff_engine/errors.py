"""The errors a user can cause or meet; each message is one or two sentences: what is wrong, and what to do."""

from __future__ import annotations

#: Letters of a stranger's text that a message repeats.
LONGEST_QUOTE = 60


def quoted(text: str, longest: int = LONGEST_QUOTE) -> str:
    """A stranger's text for a message: what cannot be printed is replaced, and it is cut where it is long."""
    printable = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    return printable if len(printable) <= longest else printable[: longest - 1] + "…"


class SuperDiffError(Exception):
    """Base of all errors that are shown to the user as they stand."""


class RecipeError(SuperDiffError):
    """A recipe asks for something that does not exist or does not fit together."""


class ModelError(SuperDiffError):
    """A model could not be found, read or understood."""


class ScoreError(SuperDiffError):
    """A score model returned something that is not a finite number.

    Attributes:
        expert: index of the expert; index: the step; level: the noise level.
    """

    def __init__(self, expert: int, name: str, index: int, level: float) -> None:
        self.expert, self.name, self.index, self.level = expert, name, index, level
        super().__init__(
            f"Expert {expert + 1} ({name}) returned a score that is not finite at step {index}, level {level:.4g}. "
            "The run stopped there and kept what it had; try float32, a lower highest level, or another model."
        )


class OutputError(SuperDiffError):
    """Results could not be written."""


class RecordError(SuperDiffError):
    """The record of an earlier run is not there, not complete or damaged."""
