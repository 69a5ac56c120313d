"""Lessons: folders of Markdown and recipes that a teacher writes, with claims that their own runs bear out.

    for lesson in read_lessons().lessons:
        print(lesson.title, try_lesson(lesson).holds)

The format: docs/lessons.md. The page: studio/screens/lessons.py.
"""

from .document import LessonError, Problem
from .lesson import Lesson
from .reading import read_lesson
from .shelf import Lessons, read_lessons
from .trial import Trial, try_lesson

__all__ = ["Lesson", "LessonError", "Lessons", "Problem", "Trial", "read_lesson", "read_lessons", "try_lesson"]
