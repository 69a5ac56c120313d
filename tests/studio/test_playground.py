"""The page Playground without a browser: what its address opens, and what it says."""

import pytest
from streamlit.testing.v1 import AppTest
from studio_page import APP, words

from studio import session
from studio.playground import kept
from superdiff_engine.domains import get_domain


@pytest.fixture
def playground(tmp_path, monkeypatch):
    monkeypatch.setenv("SUPERDIFF_LIBRARY", str(tmp_path))
    session.registry.clear()

    def open_page(link=""):
        app = AppTest.from_file(str(APP), default_timeout=90)
        if link:
            app.query_params[kept.QUERY] = link
        app.run()
        return app.switch_page("screens/playground.py").run()

    return open_page


def test_the_address_opens_a_recipe_with_ready_mixtures(playground):
    recipe = get_domain("plane").examples()["Three experts: OR"]
    app = playground(recipe.to_link())
    play = app.session_state["playground"]
    assert not app.exception and not app.error and not play.problem
    assert [len(expert.mixture.means) for expert in play.recipe.experts] == [2, 2, 2]
    play.recipe = kept.playing().begin()  # as after an answer
    assert len(play.begun.experts) == 3


@pytest.mark.parametrize("link", ["nothing", next(iter(get_domain("pictures").examples().values())).to_link()])
def test_a_wrong_address_is_one_sentence(playground, link):
    app = playground(link)
    assert not app.exception and len(app.error) == 1 and len(words(app).strip()) > 20
    assert app.session_state["playground"].recipe == kept.playing().begin()
