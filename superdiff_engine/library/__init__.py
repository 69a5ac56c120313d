"""The library: one folder that keeps all runs, and its index, made anew at any time."""

from .archive import Exported, Imported, export_zip, import_zip
from .entry import Entry
from .index import Found, Query
from .labels import LabelError, Labels
from .library import Library
from .place import library_folder

__all__ = [
    "Entry",
    "Exported",
    "Found",
    "Imported",
    "LabelError",
    "Labels",
    "Library",
    "Query",
    "export_zip",
    "import_zip",
    "library_folder",
]
