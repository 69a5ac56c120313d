"""What the form remembers: an example's name, each domain's entries, and itself in the address."""

import json
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from streamlit.testing.v1 import AppTest

import studio
from studio import session
from superdiff_engine.domains import get_domain
from superdiff_engine.domains.checked import make_recipe, recipe_from_link
from tests.studio_page import press

APP = Path(studio.__file__).parent / "app.py"


@pytest.fixture
def app(tmp_path, monkeypatch):
    monkeypatch.setenv("SUPERDIFF_LIBRARY", str(tmp_path / "runs"))
    session.registry.clear()
    return AppTest.from_file(str(APP), default_timeout=60).run()


def field(app, key):
    kinds = ("number_input", "text_input", "selectbox", "multiselect", "toggle")
    return next(found for kind in kinds for found in app.get(kind) if found.key == key)


def example(app):
    return next(found for found in app.selectbox if found.label == "Start from an example")


def query(app):
    """What the page puts into the address line."""
    (tab,) = [found for found in app.get("bidi_component") if "tab-script" in found.proto.id]
    return {name: values[0] for name, values in parse_qs(_data(tab)["query"]).items()}


def _data(element):
    return json.loads(element.proto.json)


def opened(query):
    app = AppTest.from_file(str(APP), default_timeout=60)
    for name, value in query.items():
        app.query_params[name] = value
    return app.run()


def test_an_edited_form_no_longer_carries_the_name_and_the_example_can_be_chosen_again(app):
    title, recipe = next(iter(get_domain("plane").examples().items()))
    assert example(app).value == title
    for key, value in (("f.steps", 7), ("f.seed", "12"), ("f.model.{}", "ring"), ("f.ridge", 2)):
        field(app, key.format(app.session_state["experts"][0])).set_value(value)
        app.run()
        assert example(app).value is None, key
        example(app).set_value(title)
        app.run()
        assert example(app).value == title and recipe_from_link(query(app)["recipe"]) == recipe
    press(app, "add-expert")
    app.run()
    assert example(app).value is None and not app.exception


def test_every_example_carries_its_name_until_it_is_edited(app):
    for name in ("plane", "molecules", "proteins"):
        app.session_state["f.domain"] = name
        app.run()
        for title, recipe in get_domain(name).examples().items():
            example(app).set_value(title)
            app.run()
            app.run()
            assert example(app).value == title, title
            assert recipe_from_link(query(app)["recipe"]) == recipe


def switch(app, domain):
    next(found for found in app.get("button_group") if found.proto.id.endswith("f.domain")).set_value(domain)
    app.run()


def test_each_domain_keeps_what_was_entered_there(app):
    field(app, "f.steps").set_value(17)
    press(app, "add-expert")
    third = app.session_state["experts"][2]
    field(app, f"f.model.{third}").set_value("ring")
    app.run()
    plane = query(app)["recipe"]
    switch(app, "molecules")
    first = app.session_state["experts"][0]
    field(app, "f.steps").set_value(23)
    field(app, f"f.terms.{first}").set_value(["aromatic ring"])
    field(app, "f.size").set_value(11)
    app.run()
    molecules = query(app)["recipe"]
    switch(app, "plane")
    assert query(app)["recipe"] == plane and example(app).value is None
    switch(app, "molecules")
    assert query(app)["recipe"] == molecules
    assert field(app, f"f.terms.{first}").value == ["aromatic ring"] and field(app, "f.size").value == 11
    switch(app, "proteins")
    assert example(app).value == next(iter(get_domain("proteins").examples()))
    assert not app.exception and not app.error


def test_the_address_opens_the_same_form(app):
    field(app, "f.lock").set_value(False)
    field(app, "f.save").set_value(False)
    field(app, "f.steps").set_value(31)
    app.run()
    again = opened(query(app))
    assert query(again) == query(app)
    assert (again.session_state["f.lock"], again.session_state["f.save"]) == (False, False)
    assert field(again, "f.steps").value == 31


def test_a_form_with_a_mistake_comes_back_without_the_mistake(app):
    app.session_state["f.operator"] = "fixed"
    app.run()
    field(app, "f.steps").set_value(31)
    field(app, f"f.weight.{app.session_state['experts'][0]}").set_value(0.9)
    field(app, "f.seed").set_value("no number")
    app.run()
    assert len(app.error) == 1
    again = opened(query(app))
    assert not again.error and field(again, "f.steps").value == 31
    assert [field(again, f"f.model.{slot}").value for slot in again.session_state["experts"]] == [
        expert.model for expert in next(iter(get_domain("plane").examples().values())).experts
    ]


def test_a_formula_with_a_mistake_costs_the_operator_alone(app):
    app.session_state["f.operator"] = "formula"
    app.session_state["f.formula"] = "1 and"
    app.session_state["f.steps"] = 31
    app.run()
    assert len(app.error) == 1
    again = opened(query(app))
    assert not again.error and field(again, "f.steps").value == 31


@pytest.mark.parametrize(
    "form", ["", "AAAA", "<script>", make_recipe({"domain": "plane", "experts": [{"model": "ring"}]}).to_link()[:-9]]
)
def test_a_damaged_form_in_the_address_is_one_sentence(app, form):
    again = opened({"form": form})
    assert not again.exception and len(again.error) == 1
