"""Library: all runs that are kept, to be found, opened, compared, named and put away."""

from studio.guard import guarded
from studio.shelf.page import draw_library

with guarded("the library"):
    draw_library()
