"""Pictures one after the other as a file: an animated GIF by Pillow, an MP4 (H.264) by imageio-ffmpeg."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from ..domains.colours import rgb
from ..errors import SuperDiffError

__all__ = ["FILM_KINDS", "FilmKind", "video_problem", "write_gif", "write_mp4"]

FilmKind = Literal["gif", "mp4"]
#: Kinds of films with their media types.
FILM_KINDS: dict[FilmKind, str] = {"gif": "image/gif", "mp4": "video/mp4"}
#: Letters of a note within a file that every system can hand to ffmpeg.
_LONGEST_NOTE = 30_000
_MISSING = (
    "A video needs the package imageio-ffmpeg, which is not installed: pip install 'superdiff-studio[film]', or make a "
    "GIF."
)


def video_problem() -> str:
    """Why no video can be made here, in a sentence; "" where one can."""
    return "" if find_spec("imageio_ffmpeg") is not None else _MISSING


def write_gif(
    pictures: Iterable[Image.Image], speed: float, hold: float, note: str, colours: Sequence[str] = ()
) -> bytes:
    """An animated GIF that repeats without end.

    Args:
        pictures: RGB, of one size; each has a table of 256 colours of its own.
        speed: pictures a second.
        hold: seconds that the last picture stays longer.
        note: a comment within the file.
        colours: "#rrggbb" that stand in every table, however little of a picture they cover.
    """
    shown = [_tabled(picture, [rgb(colour) for colour in colours]) for picture in pictures]
    # Of a hundredth of a second each.
    each = round(100 / speed) * 10
    durations = [*[each] * (len(shown) - 1), each + round(100 * hold) * 10]
    with tempfile.TemporaryDirectory(prefix="superdiff-film-") as folder:
        path = Path(folder) / "film.gif"
        shown[0].save(
            path, save_all=True, append_images=shown[1:], duration=durations, loop=0, comment=note.encode(), disposal=1
        )
        return path.read_bytes()


def _tabled(picture: Image.Image, colours: Sequence[tuple[int, int, int]]) -> Image.Image:
    """A picture with a table of 256 colours: these, and those that cover the most of it."""
    found = picture.quantize(256 - len(colours), Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    table = Image.new("P", (1, 1))
    table.putpalette([part for colour in colours for part in colour] + (found.getpalette() or []))
    shown = picture.quantize(palette=table, dither=Image.Dither.NONE)
    # Pillow looks up boxes of four by four by four colours at once; these are to be exact.
    numbers, pixels = np.array(shown), _packed(np.asarray(picture))
    for number, colour in enumerate(colours):
        numbers[pixels == _packed(np.array(colour, np.uint8))] = number
    exact = Image.fromarray(numbers, "P")
    exact.putpalette(shown.getpalette() or [])
    return exact


def _packed(colours: np.ndarray) -> np.ndarray:
    """Colours uint8 [..., 3] as one number each."""
    parts = colours.astype(np.int32)
    return np.asarray(parts[..., 0] << 16 | parts[..., 1] << 8 | parts[..., 2])


def write_mp4(pictures: Iterable[Image.Image], speed: float, hold: float, note: str) -> bytes:
    """An MP4 with H.264, which browsers, phones and slides play; its colours are BT.709.

    Args:
        pictures: RGB, of one size, even both ways.
        speed: pictures a second.
        hold: seconds that the last picture stays longer: it is repeated.
        note: a comment within the file, if it is not too long.

    Raises:
        SuperDiffError: where ffmpeg is missing or fails, in one sentence.
    """
    problem = video_problem()
    if problem:
        raise SuperDiffError(problem)
    import imageio_ffmpeg

    waiting = iter(pictures)
    first = next(waiting)
    told = ["-crf", "18", "-preset", "medium", "-threads", "2", "-movflags", "+faststart"]
    # What players assume of videos; ffmpeg would tag nothing and take an older matrix.
    told += ["-vf", "scale=out_color_matrix=bt709:out_range=tv", "-colorspace", "bt709", "-color_range", "tv"]
    told += ["-color_primaries", "bt709", "-color_trc", "bt709"]
    told += ["-metadata", f"comment={note}"] if len(note) <= _LONGEST_NOTE else []
    with tempfile.TemporaryDirectory(prefix="superdiff-film-") as folder:
        path = Path(folder) / "film.mp4"
        try:
            writer = imageio_ffmpeg.write_frames(
                str(path), first.size, fps=speed, codec="libx264", macro_block_size=2, quality=None,
                output_params=told, ffmpeg_log_level="error",
            )  # fmt: skip
        except RuntimeError as error:
            raise SuperDiffError(_MISSING) from error
        try:
            writer.send(None)
            for picture in _held(first, waiting, round(speed * hold)):
                writer.send(np.ascontiguousarray(picture))
        except (OSError, RuntimeError) as error:
            first_line = (str(error).splitlines() or ["no reason given"])[0]
            raise SuperDiffError(f"The video could not be made ({first_line}); make a GIF.") from error
        finally:
            writer.close()
        return path.read_bytes()


def _held(first: Image.Image, others: Iterator[Image.Image], more: int) -> Iterator[Image.Image]:
    """All of them, the last one so many times more."""
    last = first
    yield first
    for last in others:
        yield last
    for _ in range(more):
        yield last
