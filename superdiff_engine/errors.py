"""The errors a user can cause or meet; each message is one or two sentences: what is wrong, and what to do."""

from __future__ import annotations

from pathlib import Path

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


class FieldError(RecipeError):
    """A field of a recipe has a value that it can never have, whatever the other fields are."""


class ArgumentError(SuperDiffError, ValueError):
    """Arguments of the engine that do not fit together; a ValueError whose sentence may be shown as it stands."""


class ModelError(SuperDiffError):
    """A model could not be found, read or understood."""


class TrainingError(SuperDiffError):
    """A training cannot go on, because its loss is not a finite number; its last checkpoint is kept.

    Attributes:
        step: by which this was seen.
    """

    def __init__(self, checkpoint: Path, loss: float, step: int) -> None:
        self.step = step
        super().__init__(
            f"The training of '{checkpoint.stem}' stopped: its loss became {loss} by step {step}. Start it again to go "
            f"on from its last checkpoint, if it has one, and should this come back, delete {checkpoint} and train "
            "with a larger --batch, or lower the learning rate."
        )


class StepError(SuperDiffError):
    """A run cannot go on at one of its steps; what it made before is kept.

    Attributes:
        index: the step.
        level: its noise level.
    """

    def __init__(self, what: str, advice: str, index: int, level: float) -> None:
        self.index, self.level = index, level
        super().__init__(
            f"{what} at step {index}, level {level:.4g}. The run stopped there and kept what it had; {advice}."
        )


class ScoreError(StepError):
    """A score model returned something that is not a finite number.

    Attributes:
        expert: index of the expert; index: the step; level: the noise level.
    """

    def __init__(self, expert: int, name: str, index: int, level: float) -> None:
        self.expert, self.name = expert, name
        what = f"Expert {expert + 1} ({name}) returned a score that is not finite"
        super().__init__(what, "try float32, a lower highest level, or another model", index, level)


class DensityError(StepError):
    """A log-density is not a finite number; `expert` is the index of its expert."""

    def __init__(self, expert: int, name: str, index: int, level: float) -> None:
        self.expert, self.name = expert, name
        what = f"The log-density under expert {expert + 1} ({name}) is not finite"
        super().__init__(what, "try more steps, a higher lowest level, or the estimator 'trapezoid'", index, level)


class OutputError(SuperDiffError):
    """Results could not be written."""


class RecordError(SuperDiffError):
    """The record of an earlier run is not there, not complete or damaged."""


class BinnedError(RecordError):
    """A run that lies in the library's bin."""


class NewerError(RecordError):
    """A record that a later version of SuperDiff Studio wrote."""
