"""A lesson: what is read, asked, run, explained and tried, as its folder says it (`reading`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ..domains import get_domain
from ..measured import Figure
from ..recipes.document import Recipe
from ..result import Result
from ..runs.axes import parameter, varied, with_values
from ..runs.values import Value
from .expressions import Claim, Reference, fill
from .figures import figure_of, of_domain

#: What of a run a lesson can show, in the order in which it is offered.
SHOWN = ("samples", "replay", "log-density", "difference", "weights", "effective", "agreement", "figures")


@dataclass(frozen=True)
class Picture:
    """A picture of a lesson's folder, and what it shows in words."""

    path: Path
    alt: str


#: A section: Markdown, and pictures between.
Text = tuple[str | Picture, ...]


@dataclass(frozen=True)
class Choice:
    """An answer to choose: Markdown, whether it is the right one, and why or why not; "" for no reason."""

    text: str
    right: bool
    why: str = ""


@dataclass(frozen=True)
class Control:
    """A parameter that a student may change, by its name in grids, and the values that it may have."""

    name: str
    values: tuple[Value, ...]

    @property
    def label(self) -> str:
        """What it is called, with its unit."""
        return parameter(self.name).label

    def say(self, value: Value) -> str:
        """A value for people."""
        return parameter(self.name).kind.label(value)


@dataclass(frozen=True)
class LessonRun:
    """A run of a lesson.

    Attributes:
        name: by which the lesson's text means it.
        title: for people; "" for what the studio calls such a run.
        recipe: with the changes that the lesson makes.
        show: what of it is shown, of `SHOWN`.
        controls: what may be changed of this run alone.
        file: the recipe's file in the lesson's folder.
    """

    name: str
    title: str
    recipe: Recipe
    show: tuple[str, ...]
    controls: tuple[Control, ...] = ()
    file: str = ""

    def start(self, control: Control) -> Value:
        """What a control is before anybody changes it."""
        return parameter(control.name).value(self.recipe)


@dataclass(frozen=True)
class Statement:
    """A sentence that the figures of the runs bear out, or do not: Markdown with references, its claim, and what is
    said where it does not hold; "" for nothing more.
    """

    says: str
    claim: Claim
    otherwise: str = ""


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """One of them.

    Attributes:
        name: of its folder.
        folder: where it is.
        title: as typed.
        summary: a line, as typed.
        minutes: that it takes, about.
        order: its place among the lessons.
        domain: of all its runs.
        read: what is read first.
        question: what is to be predicted.
        choices: of which one is right.
        task: what is said beside the runs.
        runs: one to four.
        controls: what may be changed in all runs at once.
        explain: Markdown with references to figures.
        statements: what the figures show.
        attempt: what to try on one's own.
    """

    name: str
    folder: Path
    title: str
    summary: str
    minutes: int
    order: int
    domain: str
    read: Text
    question: Text
    choices: tuple[Choice, ...]
    task: Text
    runs: tuple[LessonRun, ...]
    controls: tuple[Control, ...]
    explain: Text
    statements: tuple[Statement, ...]
    attempt: Text

    @property
    def right(self) -> int:
        """The number of the right choice, from 0."""
        return next(place for place, choice in enumerate(self.choices) if choice.right)

    def run(self, name: str) -> LessonRun:
        """The run of this name."""
        return next(run for run in self.runs if run.name == name)

    def concerned(self, control: Control) -> list[LessonRun]:
        """The runs in which a control of all runs makes a difference."""
        return [run for run in self.runs if control.name in varied(run.recipe)]

    def recipes(
        self, shared: Mapping[str, Value], own: Mapping[str, Mapping[str, Value]], seed: int | None = None
    ) -> dict[str, Recipe]:
        """The recipes of all runs, by their names, with the controls set.

        Args:
            shared: values of the controls of all runs, by parameter; others keep theirs.
            own: by run, values of its own controls.
            seed: for all runs; None for their own.

        Raises:
            RecipeError: where the values do not go together, in a sentence.
        """
        made = {}
        for run in self.runs:
            concerned = {one.name for one in self.controls if run in self.concerned(one)}
            values = {name: value for name, value in shared.items() if name in concerned} | dict(own.get(run.name, {}))
            values |= {} if seed is None else {"seed": seed}
            changed = {name: value for name, value in values.items() if parameter(name).value(run.recipe) != value}
            made[run.name] = with_values(run.recipe, changed) if changed else run.recipe
        return made


@dataclass(frozen=True)
class Finding:
    """A statement with the figures of certain runs: whether it holds, and what it says then, in Markdown."""

    holds: bool
    says: str
    otherwise: str


@dataclass
class Made:
    """A run of a lesson that has ended: its recipe, its result (None where it made nothing), and its domain's figures.

    `measure` computes those; None for the usual way.
    """

    recipe: Recipe
    result: Result[Any] | None
    measure: Callable[[], Sequence[Figure]] | None = field(default=None, repr=False)

    @cached_property
    def figures(self) -> list[Figure]:
        """All figures of the domain."""
        if self.result is None:
            return []
        return list(self.measure() if self.measure else get_domain(self.recipe.domain).figures(self.result))

    def figure(self, reference: Reference) -> Figure | None:
        """The figure that a reference of this run means; None where it is not known."""
        if self.result is None:
            return None
        if reference.kind == "key":
            return of_domain(self.figures, reference.name)
        return figure_of(self.result, reference.name)


class Findings:
    """What the runs of a lesson show.

    Args:
        made: the runs that have ended, by their names.
        write: makes Markdown of a text, such as a prompt; the figures' own texts need none.
    """

    def __init__(self, made: Mapping[str, Made], write: Callable[[str], str] = str) -> None:
        self._made, self._write = made, write

    def number(self, reference: Reference) -> float:
        """A reference's value; NaN where it is not known, or no number."""
        made = self._made.get(reference.run)
        if made is None:
            return float("nan")
        if reference.kind == "setting":
            value = parameter(reference.name).value(made.recipe)
            return float(value) if isinstance(value, int | float) else float("nan")
        found = made.figure(reference)
        return float("nan") if found is None else found.value

    def say(self, reference: Reference) -> str:
        """A reference's value with its error and unit, as Markdown; a dash where it is not known."""
        made = self._made.get(reference.run)
        if made is None:
            return "–"
        if reference.kind == "setting":
            told = parameter(reference.name)
            return self._write(told.kind.label(told.value(made.recipe)))
        found = made.figure(reference)
        if found is None:
            return "–"
        # A narrow space that no line ends in, between a number and its unit.
        return found.text() + (f"\u202f{found.shown_unit}" if found.shown_unit and found.text() != "–" else "")

    def fill(self, text: str) -> str:
        """Markdown with all references said."""
        return fill(text, self.say)

    def of(self, lesson: Lesson) -> list[Finding]:
        """All statements of a lesson, in their order."""
        return [
            Finding(one.claim.holds(self.number), self.fill(one.says), self.fill(one.otherwise))
            for one in lesson.statements
        ]
