"""Where lessons are: those that come along, and the folders that SUPERDIFF_LESSONS names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .document import DOCUMENT, LessonError, Problem
from .lesson import Lesson
from .reading import read_lesson

__all__ = ["VARIABLE", "Lessons", "embedded_folder", "lesson_folders", "read_lessons", "signature"]

#: The environment variable that names folders of lessons, with os.pathsep between them.
VARIABLE = "SUPERDIFF_LESSONS"


@dataclass(frozen=True)
class Lessons:
    """All lessons that can be read, in their order, and what is wrong with the others."""

    lessons: tuple[Lesson, ...]
    problems: tuple[Problem, ...] = ()

    def find(self, name: str) -> Lesson | None:
        """The lesson of this name; None where there is none."""
        return next((lesson for lesson in self.lessons if lesson.name == name), None)


def embedded_folder() -> Path:
    """The folder of the lessons that come along."""
    return Path(__file__).parent / "embedded"


def lesson_folders() -> list[Path]:
    """The folders of lessons: the one that comes along first, then those of SUPERDIFF_LESSONS."""
    named = [Path(text).expanduser() for text in os.environ.get(VARIABLE, "").split(os.pathsep) if text.strip()]
    return [embedded_folder(), *named]


def read_lessons(folders: list[Path] | None = None) -> Lessons:
    """All lessons of some folders; one that is wrong costs no other.

    Args:
        folders: each a lesson, or a folder of lessons; None for `lesson_folders`.
    """
    found: dict[str, Lesson] = {}
    problems: list[Problem] = []
    for folder in lesson_folders() if folders is None else folders:
        try:
            inside = list(_lessons_in(folder))
        except OSError as error:
            problems.append(Problem(folder, None, f"This folder cannot be read: {error.strerror or error}."))
            continue
        if not inside and folder != embedded_folder():
            problems.append(Problem(folder, None, f"There is no lesson here: no folder with a {DOCUMENT}."))
        for one in inside:
            try:
                lesson = read_lesson(one)
            except LessonError as error:
                problems += error.problems
                continue
            if lesson.name in found:
                other = found[lesson.name].folder
                problems.append(Problem(one, None, f"There is another lesson of this name, {other}; rename this one."))
                continue
            found[lesson.name] = lesson
    ordered = sorted(found.values(), key=lambda lesson: (lesson.order, lesson.name))
    return Lessons(tuple(ordered), tuple(problems))


def signature(folders: list[Path] | None = None) -> tuple[tuple[str, int, int], ...]:
    """What changes when a file of a lesson does: every file with its time and size.

    Args:
        folders: as in `read_lessons`.
    """
    found = []
    for folder in lesson_folders() if folders is None else folders:
        for path in sorted([folder, *folder.glob("*/*"), *folder.glob("*")]):
            try:
                told = path.stat()
            except OSError:  # it went away meanwhile
                continue
            found.append((str(path), told.st_mtime_ns, told.st_size))
    return tuple(found)


def _lessons_in(folder: Path) -> Iterator[Path]:
    """The folder itself if it is a lesson, else those in it that are, or that hold no document but look like one."""
    if (folder / DOCUMENT).exists():
        yield folder
        return
    for inside in sorted(folder.iterdir()):
        # A folder of recipes without a document is a lesson that was begun.
        if inside.is_dir() and ((inside / DOCUMENT).exists() or any(inside.glob("*.json"))):
            yield inside
