"""A film of a run, asked for in the menu of files: made beside the page, shown, and stopped."""

import io
import threading

from PIL import Image
from plane_recipes import plane
from studio_page import button, finish, open_link, press, words

from studio.stage.film import films
from superdiff_engine.film import FilmSettings
from superdiff_engine.runs.run import Run

RECIPE = {"domain": "plane", "experts": [{"model": "ring"}], "levels": {"steps": 6}, "batch": 16}


def test_a_film_is_made_and_offered(tmp_path, monkeypatch):
    films.clear()
    app = open_link(RECIPE | {"operator": {"name": "single"}}, tmp_path, monkeypatch)
    app.run()
    press(app, "run")
    (run,) = finish(app)
    assert films().newest(run.id) is None and not app.exception
    press(app, f"film-{run.id}")
    assert not app.exception, app.exception
    # A quick run has kept few moments: its recipe is walked again unless that is put off.
    assert app.toggle(key=f"film-again-{run.id}").value
    app.select_slider(key=f"film-width-{run.id}").set_value(480)
    app.text_input(key=f"film-title-{run.id}").set_value("<b>My</b> $film$")
    app.run()
    press(app, f"film-make-{run.id}")
    made = films().newest(run.id)
    assert made.finished.wait(60) and not made.problem
    app.run()
    assert not app.exception and not app.error, words(app)
    assert "7 moments, 480 x" in words(app)
    image = Image.open(io.BytesIO(made.content))
    assert (image.format, image.n_frames, image.width) == ("GIF", 7, 480)
    # A range that is one step cannot be asked for.
    app.slider(key=f"film-steps-{run.id}").set_range(3, 3)
    app.run()
    assert button(app, f"film-make-{run.id}").disabled


def test_films_wait_for_runs_and_end_when_they_are_stopped():
    """Where the recipe is walked again; another film of the same run stops the one before."""
    run = Run(plane())
    run.execute()
    asked = threading.Event()

    def give_way(stopped):
        asked.set()
        while not stopped():
            asked.wait(0.01)

    kept = films()
    first = kept.submit(run, FilmSettings(again=True), give_way)
    assert asked.wait(20) and not first.finished.is_set() and kept.newest(run.id) is first
    second = kept.submit(run, FilmSettings(width=240, again=True), lambda stopped: None)
    assert first.finished.wait(20) and first.content is None and not first.problem
    assert second.finished.wait(20) and Image.open(io.BytesIO(second.content)).n_frames == 7
    third = kept.submit(run, FilmSettings(first=5, last=6), lambda stopped: None)
    assert third.finished.wait(20) and "two moments" in third.problem
