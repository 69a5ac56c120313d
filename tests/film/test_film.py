"""Films of runs: their frames, sizes, times and colours by Pillow and by ffmpeg, in every domain."""

import io
import json
import tempfile
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image
from plane_recipes import plane
from typer.testing import CliRunner

from superdiff_engine.cli.app import app
from superdiff_engine.domains import domains, get_domain
from superdiff_engine.domains.checked import make_recipe
from superdiff_engine.domains.colours import expert_colours, rgb
from superdiff_engine.domains.molecules.arrays import MoleculePreview
from superdiff_engine.domains.molecules.balls import draw_balls, viewpoint
from superdiff_engine.domains.picture_files import DecodedPictures, PicturePreview
from superdiff_engine.errors import ArgumentError, SuperDiffError
from superdiff_engine.figures.paper import INK
from superdiff_engine.film import Film, FilmSettings, writing
from superdiff_engine.film.moments import kept_moments, walked_moments
from superdiff_engine.film.sheet import FilmSheet
from superdiff_engine.runs.run import Run
from superdiff_engine.trace import Frame

STEPS = 6


@pytest.fixture(scope="module")
def run():
    """A run of the plane that has kept a moment of every step."""
    found = Run(plane(levels={"steps": STEPS}))
    found.execute()
    found.trace._frames = walked_moments(found.recipe, 100, None, None, lambda share: None)
    found.trace._latest = found.trace._frames[-1]
    return found


def gif(content):
    """(every frame as RGB [frames, height, width, 3], their times in ms, the comment)."""
    image = Image.open(io.BytesIO(content))
    frames, times, note = [], [], image.info["comment"]
    for place in range(image.n_frames):
        image.seek(place)
        frames.append(np.asarray(image.convert("RGB")))
        times.append(image.info["duration"])
    return np.stack(frames), times, note


def holds(picture, colour, off=0):
    """How many pixels of a picture [height, width, 3] are nearly of a colour."""
    return int((np.abs(picture.astype(int) - rgb(colour)).max(-1) <= off).sum())


@pytest.mark.parametrize(("theme", "curves"), [("light", False), ("dark", True)])
def test_a_gif_has_the_runs_moments_in_its_colours(run, theme, curves):
    film = Film(run, FilmSettings(width=321, speed=8, hold=1, theme=theme, curves=curves))
    frames, times, note = gif(film.make())
    assert len(frames) == film.moments == STEPS + 1 and film.fraction == 1
    assert frames.shape[1:3] == film.size[::-1] and film.size[0] == 320 and film.size[1] % 2 == 0
    assert times == [120] * STEPS + [1120]
    assert make_recipe(json.loads(note)) == run.recipe
    for frame in frames:
        assert holds(frame, INK[theme].ground) > 0.3 * frame[..., 0].size
        for colour in expert_colours(2, theme):
            assert holds(frame, colour) >= 12  # the dot beside the expert's name, at least
    assert all((one != other).any() for one, other in pairwise(frames))
    # The bar below has grown with the steps.
    bar = [holds(frame[-12:], INK[theme].frame) for frame in frames]
    assert bar == sorted(bar) and bar[-1] > 200 > bar[0]


def test_a_video_has_the_same_pictures(run):
    """As ffmpeg decodes it: so many pictures, the last one held, the colours those of the sheet."""
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")
    settings = FilmSettings(kind="mp4", width=480, speed=10, hold=0.5)
    content = Film(run, settings).make()
    assert content[4:8] == b"ftyp"
    with tempfile.NamedTemporaryFile(suffix=".mp4") as file:
        file.write(content)
        file.flush()
        reader = imageio_ffmpeg.read_frames(file.name)
        told = next(reader)
        wide, high = told["source_size"]
        frames = [np.frombuffer(one, np.uint8).reshape(high, wide, 3) for one in reader]
    sheet = FilmSheet(kept_moments(run), run.recipe, run.trace, run.titles, settings, run.result)
    assert (wide, high) == sheet.size and len(frames) == STEPS + 1 + 5 and told["fps"] == 10
    for moment in (0, 3, STEPS):
        off = np.abs(frames[moment].astype(int) - np.asarray(sheet.picture(moment)))
        assert off.mean() < 2 and np.quantile(off, 0.99) < 40
    np.testing.assert_array_equal(np.abs(frames[-1].astype(int) - frames[STEPS]).max() < 24, True)


def test_a_recipe_walked_again_is_the_run(run):
    """The same samples on the same device; a moment at every step, or so many of them."""
    made = Run(run.recipe)
    made.execute()
    (last,) = [frame for frame in run.trace.frames if frame.index == STEPS]
    np.testing.assert_array_equal(last.preview.positions, made.trace.latest.preview.positions)
    assert [frame.index for frame in run.trace.frames] == list(range(STEPS + 1))
    told = []
    some = walked_moments(run.recipe, 3, 1, 5, told.append)
    assert [frame.index for frame in some] == [1, 3, 5] and told == sorted(told) and told[-1] == 1
    with pytest.raises(SuperDiffError, match="0 to 6"):
        walked_moments(run.recipe, 3, 9, None, told.append)


def test_a_range_of_steps(run):
    film = Film(run, FilmSettings(width=240, first=2, last=4))
    assert len(gif(film.make())[0]) == 3
    with pytest.raises(SuperDiffError, match=r"kept 1 in this range.*--again"):
        Film(run, FilmSettings(first=6)).make()
    assert len(gif(Film(run, FilmSettings(width=240, first=4, again=True)).make())[0]) == 3


def test_a_film_that_is_stopped_is_none(run):
    film = Film(run, FilmSettings(width=240))
    assert film.make(lambda share: film.cancel() if share > 0.3 else None) is None
    assert 0 < film.fraction < 1 and film.cancelling


def test_a_run_without_moments_and_settings_that_cannot_be(run, monkeypatch):
    bare = Run(run.recipe, previews=False)
    bare.execute()
    with pytest.raises(SuperDiffError, match="kept no moments"):
        Film(bare, FilmSettings()).make()
    monkeypatch.setattr(writing, "find_spec", lambda name: None)
    with pytest.raises(SuperDiffError, match=r"imageio-ffmpeg.*pip install .*\[film\].*GIF"):
        Film(run, FilmSettings(kind="mp4")).make()
    for wrong in (
        {"width": 100},
        {"speed": 0},
        {"kind": "avi"},
        {"first": 3, "last": 3},
        {"most": 1},
        {"theme": "red"},
    ):
        with pytest.raises(ArgumentError):
            FilmSettings(**wrong)


WITH_MODELS = [name for name, domain in domains().items() if not domain.absent]


@pytest.fixture(scope="module")
def moments():
    """(recipe, moments, result) of each domain; where a network would take long, its pictures are noise."""
    found = {}
    for name in WITH_MODELS:
        document = next(iter(get_domain(name).examples().values())).model_dump(mode="json")
        found[name] = make_recipe(document | {"batch": 3, "levels": {"steps": 2}})
    rng, noise = np.random.default_rng(0), {"pictures": (3, 28, 28), "prompts": (3, 16, 16, 3)}
    made = {}
    for name, recipe in found.items():
        if name in noise:
            previews = [PicturePreview(rng.integers(0, 256, noise[name], np.uint8)) for _ in range(3)]
            made[name] = recipe, [Frame(place, 3.0 - place, one) for place, one in enumerate(previews)], None
        else:
            made[name] = recipe, walked_moments(recipe, 3, None, None, lambda share: None), None
    return made


@pytest.mark.parametrize("name", WITH_MODELS)
@pytest.mark.parametrize("dark", [False, True])
def test_every_domain_draws_its_moments_alike(moments, name, dark):
    recipe, frames, result = moments[name]
    pictures = get_domain(name).moment_pictures(frames, recipe, 400, 300, dark, result)
    drawn = [pictures.draw(place).convert("RGB") for place in range(len(frames))]
    assert len({one.size for one in drawn}) == 1
    assert 100 < drawn[0].width <= 400 and 100 < drawn[0].height <= 300
    for one, other in pairwise(drawn):
        assert (np.asarray(one) != np.asarray(other)).any()
    assert np.asarray(pictures.draw(1)).tobytes() == np.asarray(pictures.draw(1)).tobytes()


def test_finished_pictures_end_their_film(moments):
    """Prompts' previews are coarse: at the last step stand the pictures that the run made."""
    recipe, frames, _ = moments["prompts"]
    made = Run(plane(batch=3, levels={"steps": 2})).execute()
    finished = DecodedPictures(np.full((3, 64, 64, 3), (200, 30, 90), np.uint8))
    result = replace(made, recipe=recipe, decoded=finished, index=2)
    pictures = get_domain("prompts").moment_pictures(frames, recipe, 400, 400, False, result)
    assert holds(np.asarray(pictures.draw(2)), "#c81e5a", 0) > 3 * 100**2
    assert holds(np.asarray(pictures.draw(1)), "#c81e5a", 0) < 100


def test_a_molecules_atoms_stand_where_they_are():
    """A carbon and an oxygen 1.4 Angstrom apart: so far apart are their colours, at the scale of the picture."""
    positions = np.zeros((1, 29, 3), np.float32)
    positions[0, 1] = np.array([0.6, -0.8, 1.0]) / np.sqrt(2) * 1.4
    molecule = MoleculePreview(
        np.array([[1, 3, *[0] * 27]], np.uint8), positions, np.eye(1, 406, dtype=np.uint8), np.array([2], np.uint8)
    )
    view = viewpoint(positions[0, :2])
    picture = np.asarray(draw_balls(molecule, 0, view, 300)).astype(int)
    red = (picture[..., 0] > 180) & (picture[..., 1] < 60) & (picture[..., 3] > 250)
    grey = (np.abs(picture[..., 0] - 107) < 6) & (np.abs(picture[..., 2] - 107) < 6) & (picture[..., 3] > 250)
    middles = [np.argwhere(mask).mean(0) for mask in (red, grey)]
    assert np.linalg.norm(middles[0] - middles[1]) == pytest.approx(1.4 * 300 / (2 * view.extent), abs=4)
    # Turned, it is seen from where it looks the same.
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    turn[0] *= np.linalg.det(turn)
    turned = replace(molecule, positions=(positions @ turn.T).astype(np.float32))
    again = np.asarray(draw_balls(turned, 0, viewpoint(turned.positions[0, :2]), 300)).astype(int)
    flipped = [again, again[::-1], again[:, ::-1], again[::-1, ::-1]]
    assert min(np.abs(picture - one)[..., 3].mean() for one in flipped) < 2


def test_the_command_makes_a_film_of_a_record(tmp_path):
    Run(plane(), tmp_path / "run", previews=False).execute()
    out = tmp_path / "film.gif"
    found = CliRunner().invoke(app, ["film", str(tmp_path / "run"), "--out", str(out), "--again", "--width", "240"])
    assert found.exit_code == 0, found.output
    assert "7 moments" in found.output and Image.open(out).n_frames == 7
    for words, said in (
        ([str(tmp_path / "run"), "--out", str(out)], "is there already"),
        ([str(tmp_path / "run"), "--out", str(tmp_path / "b.gif")], "kept no moments"),
        ([str(tmp_path / "run"), "--out", str(tmp_path / "b.avi")], "ends in .gif or .mp4"),
        (["nothing", "--library", str(tmp_path), "--out", str(tmp_path / "b.gif")], "no run 'nothing'"),
    ):
        found = CliRunner().invoke(app, ["film", *words])
        assert isinstance(found.exception, SuperDiffError) and said in str(found.exception), found.exception
