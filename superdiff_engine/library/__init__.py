"""The library: one folder that keeps all runs, and its index, made anew at any time.

    from superdiff_engine.library import Library, Query, export_zip, library_folder

    library = Library(library_folder())     # SUPERDIFF_LIBRARY, or where the studio keeps its runs
    library.refresh()
    found = library.find(Query(operators=("or", "and"), states=("done",), most=20))
    for entry in found.entries:
        if entry.can_open:                  # a run, no grid of runs
            run = library.open(entry.id)    # recipe, result, trace: the whole run, as it was
            print(entry.name, run.result.log_density.mean(1))
            library.label(entry.id, star=True, add=["seen"])
    export_zip(library, [entry.id for entry in found.entries], Path("runs.zip"))

docs/library.md says what lies in the folder, and what is let in.
"""

from ..system.library_folder import library_folder
from .archive import Exported, Imported, export_zip, import_zip
from .entry import Entry
from .index import Found, Query
from .labels import LabelError, Labels
from .library import Library

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
