"""The library: one folder that keeps all runs, and its index, made anew at any time."""

from .entry import Entry
from .index import Found, Query
from .labels import LabelError, Labels
from .library import Library
from .place import library_folder

__all__ = ["Entry", "Found", "LabelError", "Labels", "Library", "Query", "library_folder"]
