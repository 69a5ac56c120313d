"""How a film of a run is to be."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import ArgumentError
from .writing import FILM_KINDS, FilmKind

__all__ = ["MOST_MOMENTS", "SPEEDS", "WIDTHS", "FilmSettings"]

#: The least and the largest width in pixels; moments a second; moments that a film may have.
WIDTHS, SPEEDS, MOST_MOMENTS = (240, 1920), (1.0, 30.0), 600


@dataclass(frozen=True, kw_only=True)
class FilmSettings:
    """How a film is to be.

    Attributes:
        kind: "gif" or "mp4".
        width: of the film in pixels; made even, as videos need it. The height follows.
        speed: moments a second. GIFs count in hundredths of a second, so theirs is rounded to that.
        first: the first step that is shown; None: from the noise.
        last: the last one; None: to the end.
        curves: whether log-densities and weights stand beside the samples, with a line at the moment.
        theme: "light" or "dark".
        hold: seconds that the last moment stays.
        again: whether the recipe is walked once more for its moments, in place of those that the run kept.
        most: moments of a film whose recipe is walked again, spread evenly over its steps.
        title: of the film; "" for what was composed, in words.

    Raises:
        ArgumentError: in one sentence, for what cannot be.
    """

    kind: FilmKind = "gif"
    width: int = 720
    speed: float = 10.0
    first: int | None = None
    last: int | None = None
    curves: bool = False
    theme: str = "light"
    hold: float = 1.5
    again: bool = False
    most: int = 120
    title: str = ""

    def __post_init__(self) -> None:
        if self.kind not in FILM_KINDS:
            raise ArgumentError(f"A film is one of {', '.join(FILM_KINDS)}, not '{self.kind}'.")
        if not WIDTHS[0] <= self.width <= WIDTHS[1]:
            raise ArgumentError(f"A film is {WIDTHS[0]} to {WIDTHS[1]} pixels wide, not {self.width}.")
        if not SPEEDS[0] <= self.speed <= SPEEDS[1]:
            raise ArgumentError(f"A film shows {SPEEDS[0]:g} to {SPEEDS[1]:g} moments a second, not {self.speed:g}.")
        if not 0 <= self.hold <= 60:
            raise ArgumentError(f"The last moment stays 0 to 60 seconds, not {self.hold:g}.")
        if not 2 <= self.most <= MOST_MOMENTS:
            raise ArgumentError(f"A film has 2 to {MOST_MOMENTS} moments, not {self.most}.")
        if self.theme not in ("light", "dark"):
            raise ArgumentError(f"A film's theme is light or dark, not '{self.theme}'.")
        if self.first is not None and self.last is not None and self.first >= self.last:
            raise ArgumentError(f"A film goes from a step to a later one, not from {self.first} to {self.last}.")
