"""The page Lessons: short lessons on real runs, with a prediction before and the figures after."""

from studio.guard import guarded
from studio.teach.page import draw_lessons

with guarded("the lessons"):
    draw_lessons()
