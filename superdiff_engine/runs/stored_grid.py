"""A grid read back from its folder: its axes, its cells and what was measured in them, its picture."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from PIL import Image

from ..errors import RecordError, SuperDiffError
from ..recipes.document import Recipe
from ..system.files import read_bounded
from .cells import Grid
from .folder import at_work
from .grid_file import GRID, MOST_BYTES, GridDocument, read_grid_json
from .stored import read_begun, read_recipe, read_status

#: Bytes and pixels of a grid's picture that are read; 144 cells and their labels have fewer.
_MOST_PICTURE, _MOST_PIXELS = 64 * 1024**2, 64_000_000
#: The status of a grid that has none and that nobody is at work on.
_BROKEN_OFF: dict[str, Any] = {
    "state": "interrupted",
    "seconds": 0.0,
    "message": "This grid was broken off: its program ended before the grid had. The cells that it had kept are shown.",
    "notes": [],
}


class StoredGrid(Grid):
    """A grid that has ended, as its record tells it; its cells' pictures are in its own picture only."""

    def __init__(self, recipe: Recipe, document: GridDocument, folder: Path, status: dict[str, Any]) -> None:
        super().__init__(recipe, document.x, document.y, folder, document.origin)
        self.id = folder.name
        self.state, self.message = status["state"], status["message"]
        self.notes = list(status["notes"])
        self._cells = document.settled()
        self._seconds: float = status["seconds"]
        self.finished.set()

    @property
    def seconds(self) -> float:
        """Seconds that the grid took."""
        return self._seconds

    def png(self) -> bytes:
        """The picture that it left; drawn without pictures of the cells where that is gone or damaged."""
        if self._drawn is None:
            self._drawn = len(self._cells), self._read_picture() or self._draw(self.cells)
        return self._drawn[1]

    def _read_picture(self) -> bytes:
        try:
            found = read_bounded(self._place / "grid.png", _MOST_PICTURE)
            with Image.open(io.BytesIO(found), formats=["PNG"]) as picture:
                if picture.width * picture.height > _MOST_PIXELS:
                    return b""
                picture.verify()
        except Exception:  # whatever a damaged picture makes its reader raise
            return b""
        return found

    @property
    def _place(self) -> Path:
        assert self.folder is not None
        return self.folder


def read_grid(folder: Path) -> StoredGrid:
    """The grid whose record is in a folder, whose models need not be there any more.

    A grid without a status that nobody is at work on was broken off, and comes back with the cells that it had kept.

    Raises:
        RecordError: when there is no record of a grid, it is damaged, or the grid has not ended; in one sentence.
    """
    if not (folder / GRID).is_file():
        raise RecordError(f"There is no record of a grid in {folder}.")
    read_begun(folder)  # refuses what a later version wrote
    recipe, status = read_recipe(folder), read_status(folder)
    if status is None and at_work(folder):
        raise RecordError(f"The grid {folder.name} has not ended: another process is at work on it.")
    try:
        document = read_grid_json(read_bounded(folder / GRID, MOST_BYTES), folder.name)
        return StoredGrid(recipe, document, folder, status or _BROKEN_OFF)
    except RecordError:
        raise
    except SuperDiffError as error:
        raise RecordError(f"The grid {folder.name} cannot be read: {error}") from None
