"""Films of runs: how the samples formed, as an animated GIF or an MP4 video.

    from superdiff_engine.film import Film, FilmSettings

    film = Film(run, FilmSettings(kind="gif", width=720, speed=10, curves=True))
    content = film.make()                   # bytes of the file; `film.fraction` and `film.cancel()` from any thread

A run keeps at most 61 moments of its samples (`trace.frames`), fewer where it was quick; `again=True` walks the recipe
once more and takes a moment at every step of the range, up to `most`.
"""

from .film import Film
from .settings import FilmSettings
from .writing import FILM_KINDS, FilmKind, video_problem

__all__ = ["FILM_KINDS", "Film", "FilmKind", "FilmSettings", "video_problem"]
