"""Runs side by side: what differs between their recipes, in words, and their figures in one table.

    compared = compare(["runs/and", "runs/or"])
    print(compared.sentence)
    open("compared.csv", "w").write(compared.csv())

A picture of them for a slide: `figures.comparison`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..domains import get_domain
from ..errors import ArgumentError
from ..measured import Figure, difference
from ..recipes.document import Recipe
from ..recipes.operators import OperatorRecipe
from ..recipes.parameters import Chosen, Composition
from .run import Run
from .stored import read_record
from .wording import NO_CORRECTION, Said, shortened, spelled

__all__ = [
    "MOST",
    "Comparison",
    "Difference",
    "FigureRow",
    "compare",
    "differences_between",
    "in_one_line",
    "titles_of",
]

#: How many runs are compared at once.
MOST = 6
#: Letters of a title by default, of the values of one difference in a sentence, and of a sentence before values go.
_TITLE, _VALUES, _LINE = 36, 72, 220
#: Fields that other fields switch on or off: where the latter differ, the former may be missing.
_HEADS = {"levels.rho": "levels.spacing", "noise_scale": "solver"}
_GROUPS = {"guidance": "guidance.weight", "correction": "correction.particles", "operator": "operator.name"}


@dataclass(frozen=True)
class Difference:
    """A field in which recipes differ.

    Attributes:
        place: in the recipes, as `wording.spelled` names it: "levels.steps", "experts.1.prompt".
        name: of the field, in the middle of a sentence.
        values: one a recipe, in words; None where it has no such field.
    """

    place: str
    name: str
    values: tuple[str | None, ...]


def differences_between(recipes: Sequence[Recipe]) -> list[Difference]:
    """Place by place, what differs between recipes, in the recipes' own order; empty where nothing does.

    What makes no difference to samples is none: a revision that is left open, parameters of an operator that only some
    of them have (these are in the operator's words).
    """
    said = [spelled(recipe) for recipe in recipes]
    places: list[str] = []
    for one in said:
        _merge(places, list(one))
    apart = {place for place in places if _apart([one.get(place) for one in said], place)}
    found = []
    for place in places:
        values = [one.get(place) for one in said]
        if place not in apart or _explained(place, values, apart):
            continue
        words: list[str | None] = [None if value is None else value.value for value in values]
        if place == _GROUPS["operator"]:
            words = [_operator_words(recipe.operator) for recipe in recipes]
        found.append(Difference(place, next(value.name for value in values if value is not None), tuple(words)))
    return found


def _merge(known: list[str], more: Sequence[str]) -> None:
    """Add to a list of names what it lacks of another one: before the name that comes next there, else behind the one
    that it follows, else at the end.
    """
    after = 0
    for place, name in enumerate(more):
        if name not in known:
            coming = [known.index(other) for other in more[place + 1 :] if other in known][:1]
            where = coming[0] if coming and coming[0] >= after else after if after or coming else len(known)
            known.insert(where, name)
        after = known.index(name) + 1


def _apart(values: Sequence[Said | None], place: str) -> bool:
    """Whether the values of a field differ, or some recipes have none."""
    there = [value for value in values if value is not None]
    if all(value.usual for value in there):
        return False  # no biases, of two experts or of three
    several = len({value.value for value in there}) > 1
    return several or (len(there) < len(values) and not place.endswith(".revision"))


def _explained(place: str, values: Sequence[Said | None], apart: set[str]) -> bool:
    """Whether a difference goes with another one that is named."""
    group = place.partition(".")[0]
    head = _HEADS.get(place) or _GROUPS.get(group)
    if head is None or head == place:
        # A field that only one of the domains has.
        return None in values and "domain" in apart and group != "experts"
    if None not in values:
        return group == "operator" and head in apart
    if group == "operator" or "domain" in apart:
        return head in apart or "domain" in apart
    return head in apart and all(value is None or value.usual for value in values)


def _operator_words(operator: OperatorRecipe) -> str:
    """An operator in a few words, its parameters where they are not the default: "OR", "OR, T = 2", "1 but not 2"."""
    parts = [] if operator.composed else [operator.title]
    for parameter in operator.parameters:
        value, described = getattr(operator, parameter.field), type(operator).model_fields[parameter.field]
        named = isinstance(parameter, Chosen | Composition) or value != described.default
        if value is not None and named:
            parts.append(parameter.say(value))
    return ", ".join(part for part in parts if part)


@dataclass(frozen=True)
class _Block:
    """A difference, or several that belong together, for a sentence and for titles, of which some go `first`; `field`
    is that of the experts, where it is theirs.
    """

    name: str
    values: tuple[str, ...]
    titles: tuple[str, ...]
    first: bool = False
    field: str = ""


def _blocks(recipes: Sequence[Recipe], found: Sequence[Difference]) -> list[_Block]:
    """The differences for people: those of the experts gathered, each with what a title says of it."""
    blocks = []
    domains = any(one.place == "domain" for one in found)
    gathered: set[str] = set()
    for one in found:
        group, _, field = one.place.rpartition(".")
        if one.place == "domain":
            continue  # the sentence says it first, and titles too
        if group.startswith("experts") and field in ("model", "prompt"):
            several = len([other for other in found if other.place.endswith(f".{field}")]) > 1 or None in one.values
            if field not in gathered and not domains:
                gathered.add(field)
                blocks.append(_of_experts(recipes, field, one) if several else _alone(one))
        elif one.place.startswith("operator."):
            if "operator" not in gathered:
                gathered.add("operator")
                blocks += _of_operators(recipes, [each for each in found if each.place.startswith("operator.")])
        elif not (group.startswith("experts") and domains):
            blocks.append(_alone(one))
    # Where prompts are told apart, models that only a prompt more brings along say nothing.
    alike = len({expert.model for recipe in recipes for expert in recipe.experts}) == 1
    return [block for block in blocks if not (block.field == "model" and "prompt" in gathered and alike)]


def _alone(one: Difference) -> _Block:
    values = tuple("–" if value is None else value for value in one.values)
    say = _TITLES.get(one.place, lambda value: f"{one.name} {value}")
    titles = tuple("" if value is None or len(value) > _TITLE else say(value) for value in one.values)
    return _Block(one.name, values, titles)


#: What a title says of a field's value, where that is not its name and the value.
_TITLES: dict[str, Callable[[str], str]] = {
    "levels.steps": lambda value: f"{value} steps",
    "levels.spacing": lambda value: f"levels {value}",
    "batch": lambda value: f"{value} samples",
    "solver": lambda value: value,
    "estimator": lambda value: value,
    "dtype": lambda value: value,
    "guidance.weight": lambda value: f"w = {value.removesuffix(' (none)')}",
    "correction.particles": lambda value: "not corrected" if value == NO_CORRECTION else f"corrected, {value}",
}


def _of_experts(recipes: Sequence[Recipe], field: str, one: Difference) -> _Block:
    """What all experts of each recipe are called, or asked for, where several differ."""
    values = []
    for recipe in recipes:
        said = spelled(recipe)
        each = [said.get(f"experts.{number}.{field}") for number in range(1, len(recipe.experts) + 1)]
        values.append(" + ".join("–" if value is None else value.value for value in each))
    plain = tuple(value.replace("'", "") for value in values)
    return _Block("prompts" if field == "prompt" else "experts", tuple(values), plain, field=field)


def _of_operators(recipes: Sequence[Recipe], found: Sequence[Difference]) -> list[_Block]:
    """The operators' differences; a title has an operator with its parameters, whichever of them differ."""
    whole = tuple(", ".join(recipe.operator.words()) for recipe in recipes)
    named = any(one.place == _GROUPS["operator"] for one in found)
    short = tuple(_operator_words(recipe.operator) for recipe in recipes) if named else whole
    blocks = []
    for place, one in enumerate(found):
        values = tuple("–" if value is None else value for value in one.values)
        blocks.append(_Block(one.name, values, short if place == 0 else tuple("" for _ in values), True))
    return blocks


def in_one_line(recipes: Sequence[Recipe], found: Sequence[Difference] | None = None) -> str:
    """What differs between recipes, as one sentence that says that everything else is equal.

    Args:
        recipes: two or more.
        found: their differences, where they are known already.
    """
    found = differences_between(recipes) if found is None else found
    blocks, domains = _blocks(recipes, found), list(dict.fromkeys(get_domain(one.domain).title for one in recipes))
    parts: list[str] = []
    for block in blocks:
        values = list(dict.fromkeys(block.values))
        between = "; " if any(", " in value for value in values) else ", "
        listed = between.join(shortened(value, _TITLE) for value in values)
        fits = len(listed) <= _VALUES and len(set(values)) == len({shortened(value, _TITLE) for value in values})
        room = sum(map(len, parts)) + len(listed) < _LINE
        parts.append(f"{block.name} ({listed})" if fits and room and len(values) > 1 else block.name)
    differ = _and(parts)
    if len(domains) > 1:
        also = f" and differ in {differ}; all other settings that they share are equal" if parts else ""
        rest = "" if parts else "; all settings that they share are equal"
        return f"They are of different domains ({', '.join(domains)}){also}{rest}."
    if not parts:
        return "Their recipes are equal."
    return f"They differ in {differ}; everything else is equal."


def _and(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else ""


def titles_of(recipes: Sequence[Recipe], found: Sequence[Difference] | None = None) -> list[str]:
    """A short title for each recipe, no two alike: what it has that others have not ("AND", "OR, T = 2, seed 7").

    Args:
        recipes: one or more.
        found: their differences, where they are known already.
    """
    found = differences_between(recipes) if found is None else found
    titles = ["" for _ in recipes]
    # What is composed how comes first.
    blocks = [block.titles for block in sorted(_blocks(recipes, found), key=lambda block: not block.first)]
    names = [get_domain(recipe.domain).title for recipe in recipes]
    if len(set(names)) > 1:
        blocks.insert(0, tuple(names))
    for block in blocks:
        longer = [", ".join(part for part in (title, more) if part) for title, more in zip(titles, block, strict=True)]
        # What is said already needs no more words, unless these tell apart what was alike.
        if max(map(len, longer)) <= _TITLE or len(set(longer)) > len(set(titles)):
            titles = longer
    plain = [", ".join(recipe.operator.words()) for recipe in recipes]
    return distinct([shortened(title or usual, 2 * _TITLE) for title, usual in zip(titles, plain, strict=True)])


def distinct(titles: Sequence[str]) -> list[str]:
    """The titles, with a number behind those that were there before."""
    found: list[str] = []
    for title in titles:
        name, number = title, 2
        while name in found:
            name, number = f"{title} ({number})", number + 1
        found.append(name)
    return found


@dataclass(frozen=True)
class FigureRow:
    """A figure of several runs: what it is, and each run's, None where a run has none."""

    name: str
    title: str
    unit: str
    better: str
    main: bool
    figures: tuple[Figure | None, ...]

    def less_the_first(self) -> FigureRow:
        """The differences to the first run, with the errors of independent runs; None where either has no figure."""
        first = self.figures[0]
        found = [None if first is None or one is None else difference(one, first) for one in self.figures[1:]]
        return replace(self, figures=(first, *found))


def rows_of(figures: Sequence[Sequence[Figure]]) -> list[FigureRow]:
    """The figures of several runs, aligned by their names; an order in which each run's own holds."""
    names: list[str] = []
    for one in figures:
        _merge(names, [figure.name for figure in one])
    rows = []
    for name in names:
        each = [next((figure for figure in one if figure.name == name), None) for one in figures]
        first = next(figure for figure in each if figure is not None)
        main = any(figure is not None and figure.main for figure in each)
        rows.append(FigureRow(name, first.title, first.unit, first.better, main, tuple(each)))
    return rows


class Comparison:
    """Two to six runs that have ended with samples, side by side.

    Args:
        runs: in their order.
        titles: of them; None for what differs.
        measure: gives the figures of a run; None computes them.

    Raises:
        ArgumentError: for fewer than two runs or more than six, for titles of another number, and for a run that made
            nothing.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        titles: Sequence[str] | None = None,
        measure: Callable[[Run], Sequence[Figure]] | None = None,
    ) -> None:
        if not 2 <= len(runs) <= MOST:
            raise ArgumentError(f"From 2 to {MOST} runs are compared, not {len(runs)}; name as many.")
        if titles is not None and len(titles) != len(runs):
            raise ArgumentError(f"There are {len(runs)} runs and {len(titles)} titles; give every run one.")
        for run in runs:
            if run.result is None:
                raise ArgumentError(f"The run {run.id} has no samples to compare; leave it out, or run it again.")
        self.runs = list(runs)
        self.recipes = [run.recipe for run in runs]
        self.differences = differences_between(self.recipes)
        self.sentence = in_one_line(self.recipes, self.differences)
        usual = titles_of(self.recipes, self.differences)
        self.titles = (
            usual if titles is None else [" ".join(title.split()) or usual[k] for k, title in enumerate(titles)]
        )
        self._measure = measure or _figures_of
        self._rows: list[FigureRow] | None = None

    @property
    def rows(self) -> list[FigureRow]:
        """All figures, aligned by name; they are computed when they are first asked for."""
        if self._rows is None:
            self._rows = rows_of([self._measure(run) for run in self.runs])
        return self._rows

    def csv(self) -> str:
        """A row a run and figure: run (its id), title, figure, value, error, unit; then a column for each field in
        which the recipes differ, with the run's value in words.

        Shares are from 0 to 1; a missing value or error is empty.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        heads = distinct([one.name for one in self.differences])
        writer.writerow(["run", "title", "figure", "value", "error", "unit", *(f"recipe: {head}" for head in heads)])
        for place, (run, title) in enumerate(zip(self.runs, self.titles, strict=True)):
            fields = [one.values[place] or "" for one in self.differences]
            for row in self.rows:
                figure = row.figures[place]
                if figure is not None:
                    error = "" if figure.error is None else f"{figure.error:.9g}"
                    writer.writerow([run.id, title, figure.title, f"{figure.value:.9g}", error, figure.unit, *fields])
        return text.getvalue()


def _figures_of(run: Run) -> Sequence[Figure]:
    assert run.result is not None  # a comparison has none without
    return get_domain(run.recipe.domain).figures(run.result)


def compare(runs: Sequence[Run | Path | str], titles: Sequence[str] | None = None) -> Comparison:
    """Two to six runs side by side.

    Args:
        runs: finished ones, or the folders of their records.
        titles: of them; None for what differs between their recipes.

    Raises:
        ArgumentError: as `Comparison`.
        RecordError: when a folder holds no record of a run that has ended.
    """
    return Comparison([one if isinstance(one, Run) else read_record(Path(one)) for one in runs], titles)
