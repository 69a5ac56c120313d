"""What tests of the studio's page share: a tab that opens a recipe's link, its buttons, runs and words."""

from pathlib import Path

from streamlit.testing.v1 import AppTest

import studio
from studio import session
from studio.guard import TURN
from superdiff_engine.domains.checked import make_recipe

APP = Path(studio.__file__).parent / "app.py"


def open_link(recipe, runs, monkeypatch):
    """A tab of a fresh studio that has opened the link of a recipe; it has not been run yet."""
    monkeypatch.setenv("SUPERDIFF_LIBRARY", str(runs))
    session.registry.clear()
    app = AppTest.from_file(str(APP), default_timeout=90)
    app.query_params["recipe"] = make_recipe(recipe).to_link()
    return app


def button(app, key):
    """A button by its key, without the number of its presses where it counts them."""
    return next(found for found in app.button if found.key.split(TURN)[0] == key)


def press(app, key):
    button(app, key).click()
    app.run()


def give(app, name, content):
    """Give a file of the user's own, and wait until it has been read."""
    (uploader,) = [found for found in app.get("file_uploader") if found.key.startswith("own-")]
    uploader.set_value((name, content, "application/octet-stream"))
    app.run()
    read(app)


def read(app):
    """Wait until the file that was given has been read, and look again."""
    assert not app.exception
    if app.session_state["own-reading"] is not None:
        assert app.session_state["own-reading"].finished.wait(60)
    app.run()


def finish(app):
    """Wait for every job, look again, and return their runs."""
    for job in session.registry()._jobs.values():
        assert job.run.finished.wait(120)
    app.run()
    assert not app.exception and not app.error
    return [job.run for job in session.registry()._jobs.values()]


def words(app):
    return " ".join(element.value for kind in ("markdown", "error", "info", "caption") for element in app.get(kind))
