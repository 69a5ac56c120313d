"""Playground: drag the experts about, and watch contours, samples and curves follow."""

from studio.guard import guarded
from studio.playground.page import draw_playground

with guarded("the playground"):
    draw_playground()
