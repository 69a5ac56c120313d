"""A film of a run, made by one thread while others look at how far it is, or stop it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from PIL import Image

from ..runs.run import Run
from .moments import kept_moments, walked_moments
from .settings import FilmSettings
from .writing import FILM_KINDS, write_gif, write_mp4

__all__ = ["Film"]

#: The share of the work that walking the recipe again is taken for.
_WALK = 0.5


class _Stopped(Exception):
    """The film was stopped."""


class Film:
    """A film of a run that has ended; `make` does the work, in whatever thread calls it.

    Args:
        run: with its moments and its trace.
        settings: how the film is to be.

    Attributes:
        fraction: the share that is done, 0 to 1.
        moments: how many it has; 0 before that is known.
        size: of its pictures, pixels; (0, 0) before that is known.
        give_way: called between two steps of a recipe that is walked again; may wait while runs are more urgent.
    """

    def __init__(self, run: Run, settings: FilmSettings) -> None:
        self.run, self.settings = run, settings
        self.fraction, self.moments, self.size = 0.0, 0, (0, 0)
        self.give_way: Callable[[], None] = lambda: None
        self._cancel = threading.Event()

    @property
    def mime(self) -> str:
        """The media type of the file."""
        return FILM_KINDS[self.settings.kind]

    @property
    def cancelling(self) -> bool:
        """Whether it was asked to stop."""
        return self._cancel.is_set()

    def cancel(self) -> None:
        """Ask it to stop: it does so within one step or picture, and nothing is made."""
        self._cancel.set()

    def make(self, on_share: Callable[[float], None] | None = None) -> bytes | None:
        """The file; None where it was stopped.

        Args:
            on_share: called with the share that is done, 0 to 1.

        Raises:
            SuperDiffError: what is missing or wrong, in one sentence.
        """

        def note(share: float) -> None:
            if self._cancel.is_set():
                raise _Stopped
            self.fraction = share
            if on_share is not None:
                on_share(share)

        from .sheet import FilmSheet  # not before it is asked for: matplotlib takes a second

        settings, run = self.settings, self.run
        begun = _WALK if settings.again else 0.0
        try:
            note(0.0)
            if settings.again:
                told = (settings.most, settings.first, settings.last)

                def passed(share: float) -> None:
                    self.give_way()
                    note(_WALK * share)

                self.give_way()
                frames = walked_moments(run.recipe, *told, passed)
            else:
                frames = kept_moments(run, settings.first, settings.last)
            sheet = FilmSheet(frames, run.recipe, run.trace, run.titles, settings, run.result)
            self.moments, self.size = len(frames), sheet.size

            def pictures() -> Iterator[Image.Image]:
                for moment in range(len(frames)):
                    yield sheet.picture(moment)
                    note(begun + (1 - begun) * (moment + 1) / (len(frames) + 1))

            note_inside = run.recipe.to_json()
            if settings.kind == "gif":
                content = write_gif(pictures(), settings.speed, settings.hold, note_inside, sheet.colours)
            else:
                content = write_mp4(pictures(), settings.speed, settings.hold, note_inside)
            note(1.0)
        except _Stopped:
            return None
        return content
