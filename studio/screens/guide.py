"""Guide: the words of the studio, and the models that are there."""

from studio.guard import guarded
from studio.guide import draw_guide

with guarded("the guide"):
    draw_guide()
