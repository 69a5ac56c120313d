"""A lesson out of its folder; what is wrong with it is said by file and line. docs/lessons.md has the format."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..domains import get_domain
from ..domains.checked import load_recipe
from ..errors import RecipeError, SuperDiffError, quoted
from ..recipes.document import Recipe
from ..runs.axes import make_axis, parameter, usual_name, varied, with_values
from ..runs.values import Value
from .document import FILE, LONGEST, Document, LessonError, Lines
from .expressions import Reference, parse_claim, references_in, unfilled_in
from .figures import FIGURES, named
from .lesson import SHOWN, Choice, Control, Lesson, LessonRun, Statement, Text

__all__ = ["read_lesson"]

MOST_RUNS, MOST_CHOICES = 4, 6

_FOLDER = re.compile(r"[a-z0-9][a-z0-9-]{0,59}")
_RUN = re.compile(r"[a-z][a-z0-9_]{0,29}")
_CHOICE = re.compile(r"[-*] \[([ xX])\] +(.+)")


def read_lesson(folder: Path) -> Lesson:
    """The lesson in a folder.

    Raises:
        LessonError: with all that is wrong with it.
    """
    return _Reader(folder).lesson()


class _Reader:
    """Reads one folder and gathers what is wrong."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.document = folder, Document(folder)
        self._wrong, self.problems = self.document.wrong, self.document.problems
        self._recipes: dict[str, Recipe | None] = {}

    def lesson(self) -> Lesson:
        if not _FOLDER.fullmatch(self.folder.resolve().name):
            name = quoted(self.folder.resolve().name)
            self._wrong(
                f"A lesson's folder is called by small letters, digits and '-', not '{name}'.", path=self.folder
            )
        lines = self.document.read()
        head, body = self.document.head(lines)
        sections = self.document.sections(body)
        found = Lesson(
            name=self.folder.resolve().name,
            folder=self.folder,
            **head,
            read=self.document.prose(sections["Read"]),
            **self._predict(sections["Predict"]),
            **self._run(sections["Run"], head["domain"]),
            explain=(),
            statements=(),
            attempt=self.document.prose(sections["Try"]),
        )
        explain, statements = self._explain(sections["Explain"], found)
        for name in ("Read", "Predict", "Run", "Try"):
            self._no_references(sections[name], found)
        if self.problems:
            raise LessonError(sorted(self.problems, key=lambda one: (str(one.path), one.line or 0)))
        return replace(found, explain=explain, statements=statements)

    def _predict(self, section: Lines) -> dict[str, Any]:
        """The question and its choices."""
        question: list[str] = []
        choices: list[Choice] = []
        for number, line in enumerate(section.lines, section.first):
            found = _CHOICE.fullmatch(line.rstrip())
            if found is None:
                if choices and line.strip():
                    self._wrong("The choices come last, a line each: '- [ ] text :: why not'.", number)
                question.append(line)
                continue
            text, _, why = (part.strip() for part in found[2].partition(" :: "))
            if "![" in line:
                self._wrong("A choice has no picture; put it into the question.", number)
            choices.append(Choice(text, found[1] != " ", why))
        if section.lines:
            if not 2 <= len(choices) <= MOST_CHOICES:
                self._wrong(
                    f"A question has 2 to {MOST_CHOICES} choices, not {len(choices)}: lines such as '- [ ] text' and "
                    "'- [x] the right one'.",
                    section.first - 1,
                )
            right = sum(choice.right for choice in choices)
            if choices and right != 1:
                self._wrong(f"One choice is the right one, marked [x], not {right}.", section.find(r"^[-*] \["))
            if not "".join(question).strip():
                self._wrong("The question is missing; write it above the choices.", section.first - 1)
        prose = self.document.prose(Lines(section.first, tuple(question)))
        return {"question": prose, "choices": tuple(choices)}

    def _run(self, section: Lines, domain: str) -> dict[str, Any]:
        rest, block = self.document.block(section)
        before = len(self.problems)
        document = self.document.toml(block)
        prose = self.document.prose(rest)
        empty: dict[str, Any] = {"task": prose, "runs": (), "controls": ()}
        if block is None:
            if section.lines:
                self._wrong("The section ## Run has a block ```toml with the runs; add it.", section.first - 1)
            return empty
        if len(self.problems) > before and not document:
            return empty
        for key in set(document) - {"runs", "controls"}:
            self._wrong(f"'{quoted(key)}' is none of [runs.NAME] and [controls]; remove it.", block.find_key(key))
        tables = document.get("runs", {})
        if not isinstance(tables, dict) or not 1 <= len(tables) <= MOST_RUNS:
            self._wrong(f"A lesson has 1 to {MOST_RUNS} runs, each a table [runs.NAME].", block.first)
            return empty
        runs = [run for name, table in tables.items() if (run := self._one_run(name, table, block, domain)) is not None]
        if len(runs) < len(tables):
            return empty
        return {"task": prose, "runs": tuple(runs), "controls": tuple(self._shared(document, runs, block))}

    def _one_run(self, name: str, table: Any, block: Lines, domain: str) -> LessonRun | None:
        line = block.find(rf"^\s*\[\s*runs\s*\.\s*[\"']?{re.escape(name)}[\"']?\s*\]")
        inside = block.since(line)
        if not _RUN.fullmatch(name) or not isinstance(table, dict):
            self._wrong(
                f"'{quoted(name)}' is no name of a run; it is a small letter, then small letters, digits and _.", line
            )
            return None
        for key in set(table) - {"recipe", "title", "with", "show", "controls"}:
            self._wrong(
                f"A run has no '{quoted(key)}'; it has recipe, title, with, show, controls.", inside.find_key(key)
            )
        file, title = table.get("recipe"), table.get("title", "")
        if not isinstance(file, str) or not FILE.fullmatch(file) or not file.endswith(".json"):
            self._wrong('A run needs recipe = "NAME.json", a file of the lesson\'s folder.', inside.find_key("recipe"))
            return None
        if not isinstance(title, str) or len(title) > LONGEST["title"]:
            self._wrong(f"'title' is a text of at most {LONGEST['title']} letters.", inside.find_key("title"))
            title = ""
        recipe = self._recipe(file, inside.find_key("recipe"))
        if recipe is None:
            return None
        if recipe.domain != domain:
            self._wrong(
                f"The recipe '{file}' is of the domain {recipe.domain}; the head says '{quoted(domain)}'.",
                inside.find_key("recipe"),
            )
        changed = self._changed(recipe, table.get("with", {}), inside.find_key("with"))
        if changed is None:
            return None
        show = self._show(table.get("show", list(SHOWN[:1])), inside.find_key("show"))
        controls = self._controls(table.get("controls", {}), inside, "controls")
        for control in controls:
            self._check_control(control, [(name, changed)], inside.find_key("controls"))
        return LessonRun(name, " ".join(title.split()), changed, show, tuple(controls), file)

    def _recipe(self, file: str, line: int) -> Recipe | None:
        if file not in self._recipes:
            path = self.folder / file
            self._recipes[file] = None
            if not path.is_file():
                self._wrong(f"There is no file '{file}' in this folder; add it.", line)
                return None
            try:
                self._recipes[file] = load_recipe(path)
            except SuperDiffError as error:
                self._wrong(str(error), _line_of_json(path), path)
        return self._recipes[file]

    def _changed(self, recipe: Recipe, changes: Any, line: int) -> Recipe | None:
        if not isinstance(changes, dict):
            self._wrong("'with' is a table of parameters, such as { steps = 20 }.", line)
            return None
        try:
            values = {usual_name(name): self._checked(name, value) for name, value in changes.items()}
            return with_values(recipe, values) if values else recipe
        except SuperDiffError as error:
            self._wrong(_of_lesson(error), line)
            return None

    @staticmethod
    def _checked(name: str, value: Any) -> Value:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise RecipeError(f"The parameter '{quoted(name)}' takes a number or a text.")
        return make_axis(name, [value]).values[0]

    def _show(self, show: Any, line: int) -> tuple[str, ...]:
        if not isinstance(show, list) or not show or not all(isinstance(one, str) for one in show):
            self._wrong(f"'show' is a list of one or more of {', '.join(SHOWN)}.", line)
            return SHOWN[:1]
        for one in show:
            if one not in SHOWN:
                self._wrong(f"'{quoted(one)}' cannot be shown; there are {', '.join(SHOWN)}.", line)
        return tuple(dict.fromkeys(show))

    def _controls(self, table: Any, block: Lines, key: str = "") -> list[Control]:
        """Controls from a table, which a key of the block's first table holds, or which the block begins with."""
        line = block.find_key(key) if key else block.first
        if not isinstance(table, dict):
            self._wrong("Controls are a table of parameters with lists of values: { temperature = [0, 1, 10] }.", line)
            return []
        found = []
        for name, values in table.items():
            where = max(block.find_key(name), line)
            if not isinstance(values, list) or len(values) < 2:
                self._wrong(f"The control '{quoted(name)}' is a list of 2 or more values.", where)
                continue
            try:
                for value in values:
                    self._checked(name, value)
                axis = make_axis(name, values)
            except SuperDiffError as error:
                self._wrong(_of_lesson(error), where)
                continue
            found.append(Control(axis.name, tuple(axis.values)))
        return found

    def _shared(self, document: Mapping[str, Any], runs: Sequence[LessonRun], block: Lines) -> Iterator[Control]:
        inside = block.since(block.find(r"^\s*\[\s*controls\s*\]"))
        for control in self._controls(document.get("controls", {}), inside):
            line = inside.find_key(control.name)
            concerned = [(run.name, run.recipe) for run in runs if control.name in varied(run.recipe)]
            if not concerned:
                self._wrong(f"'{control.name}' makes no difference in any run; remove it.", line)
                continue
            starts = {parameter(control.name).value(recipe) for _, recipe in concerned}
            if len(starts) > 1:
                self._wrong(
                    f"'{control.name}' is changed in all runs at once, so all must begin with one value; give the runs "
                    "controls of their own instead.",
                    line,
                )
                continue
            self._check_control(control, concerned, line)
            yield control

    def _check_control(self, control: Control, runs: Sequence[tuple[str, Recipe]], line: int) -> None:
        for name, recipe in runs:
            obstacle = parameter(control.name).obstacle(recipe.model_dump())
            if obstacle:
                self._wrong(f"The run '{name}' has no '{control.name}' to change: {obstacle}.", line)
                return
            start = parameter(control.name).value(recipe)
            if start not in control.values:
                self._wrong(
                    f"The control '{control.name}' lacks {start!r}, which the run '{name}' has; add it to the values.",
                    line,
                )
            for value in control.values:
                try:
                    with_values(recipe, {control.name: value})
                except SuperDiffError as error:
                    self._wrong(f"'{control.name}' = {value!r} in the run '{name}': {error}", line)

    def _explain(self, section: Lines, lesson: Lesson) -> tuple[Text, tuple[Statement, ...]]:
        rest, block = self.document.block(section)
        prose = self.document.prose(rest)
        for offset, reference in references_in(rest.text):
            self._check_reference(reference, lesson, section.first + rest.text[:offset].count("\n"))
        for offset, words in unfilled_in(rest.text, [run.name for run in lesson.runs]):
            self._wrong(
                f"'{quoted(words)}' would stand as it is; outside of formulas, figures are written {{RUN.figure}}, "
                '{RUN["key"]} or {RUN[parameter]}.',
                section.first + rest.text[:offset].count("\n"),
            )
        document = self.document.toml(block)
        if block is None or not document:
            return prose, ()
        for key in set(document) - {"claims"}:
            self._wrong(f"There is no '{quoted(key)}' here; there are [[claims]].", block.find_key(key))
        tables = document.get("claims", [])
        if not isinstance(tables, list) or not all(isinstance(one, dict) for one in tables):
            self._wrong("Claims are tables [[claims]].", block.first)
            return prose, ()
        starts = [n for n, line in enumerate(block.lines, block.first) if re.match(r"\s*\[\[\s*claims\s*\]\]", line)]
        statements = []
        for place, table in enumerate(tables):
            line = starts[place] if place < len(starts) else block.first
            statement = self._statement(table, block.since(line), lesson)
            if statement is not None:
                statements.append(statement)
        return prose, tuple(statements)

    def _statement(self, table: dict[str, Any], inside: Lines, lesson: Lesson) -> Statement | None:
        for key in set(table) - {"says", "holds", "otherwise"}:
            self._wrong(f"A claim has no '{quoted(key)}'; it has says, holds, otherwise.", inside.find_key(key))
        says, holds, otherwise = (table.get(key, "") for key in ("says", "holds", "otherwise"))
        if not isinstance(says, str) or not isinstance(holds, str) or not says.strip() or not holds.strip():
            self._wrong('A claim has a sentence, says = "...", and what must hold, holds = "a.gap < 1".', inside.first)
            return None
        if not isinstance(otherwise, str):
            self._wrong("'otherwise' is a text.", inside.find_key("otherwise"))
            otherwise = ""
        for key, text in (("says", says), ("otherwise", otherwise)):
            if "![" in text:
                self._wrong("A claim has no picture; put it above.", inside.find_key(key))
            for _, reference in references_in(text):
                self._check_reference(reference, lesson, inside.find_key(key))
        try:
            claim = parse_claim(holds)
        except RecipeError as error:
            self._wrong(str(error), inside.find_key("holds"))
            return None
        if not claim.references:
            self._wrong(f"'{quoted(holds)}' names no figure of a run.", inside.find_key("holds"))
        for reference in claim.references:
            self._check_reference(reference, lesson, inside.find_key("holds"))
        return Statement(says.strip(), claim, otherwise.strip())

    def _check_reference(self, reference: Reference, lesson: Lesson, line: int) -> None:
        names = [run.name for run in lesson.runs]
        if not names:
            return  # the runs are wrong; that is said
        if reference.run not in names:
            self._wrong(f"'{reference}' is of no run; there are {', '.join(names)}.", line)
            return
        recipe = lesson.run(reference.run).recipe
        if reference.kind == "setting":
            try:
                known = parameter(usual_name(reference.name))
            except RecipeError as error:
                self._wrong(_of_lesson(error), line)
                return
            if known.obstacle(recipe.model_dump()):
                self._wrong(f"The run '{reference.run}' has no '{reference.name}'.", line)
        elif reference.kind == "figure":
            self._check_figure(reference, recipe, line)

    def _check_figure(self, reference: Reference, recipe: Recipe, line: int) -> None:
        found = named(reference.name)
        if found is None:
            self._wrong(
                f"There is no figure '{reference.name}'; there are {', '.join(FIGURES)} (K: an expert's number), and "
                f'those of the domain, {reference.run}["KEY"].',
                line,
            )
            return
        told, expert = found
        if expert >= len(recipe.experts):
            self._wrong(f"'{reference}': the run has {len(recipe.experts)} expert(s), which count from 1.", line)
        elif told.several and len(recipe.experts) < 2:
            self._wrong(f"'{reference}' needs a run of two experts or more.", line)
        elif told.exact and not get_domain(recipe.domain).exact:
            self._wrong(f"'{reference}': exact log-densities are not known in the domain {recipe.domain}.", line)

    def _no_references(self, section: Lines, lesson: Lesson) -> None:
        """Figures are there once the runs have ended: they stand in Explain."""
        names = [run.name for run in lesson.runs]
        for offset, reference in references_in(section.text):
            if reference.run in names and reference.kind == "figure":
                self._wrong(
                    f"'{{{reference}}}' stands before the runs have ended; figures go into ## Explain.",
                    section.first + section.text[:offset].count("\n"),
                )


def _of_lesson(error: SuperDiffError) -> str:
    """What the engine says of axes, for those who know of controls."""
    return str(error).replace("The axis ", "The parameter ")


def _line_of_json(path: Path) -> int | None:
    """Where a file stops being JSON; None where it is."""
    try:
        json.loads(path.read_bytes().decode("utf-8", "replace"))
    except json.JSONDecodeError as error:
        return error.lineno
    except (OSError, ValueError, RecursionError):
        return None
    return None
