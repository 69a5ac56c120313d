"""What a page's charts can be saved as, by pressing every button of a corrected run's page without a browser."""

import io
import json
import re
from xml.etree import ElementTree

import streamlit as st
from PIL import Image
from studio_page import finish, open_link, press

from superdiff_engine.domains.checked import make_recipe
from superdiff_engine.domains.picture_files import RECIPE_CHUNK

PLANE = {
    "domain": "plane",
    "experts": [{"model": "petal_a"}, {"model": "petal_b"}],
    "operator": {"name": "formula", "text": "1 + 2"},
    "levels": {"steps": 6},
    "batch": 16,
    "correction": {"particles": 8, "threshold": 0.9},
}
SVG = "{http://www.w3.org/2000/svg}"


def test_every_chart_is_saved_with_its_title_and_its_numbers(tmp_path, monkeypatch):
    offered = {}

    def recorded(label, *, data, file_name, **told):
        offered[file_name] = (label, data, told)
        return False

    monkeypatch.setattr(st, "download_button", recorded)
    app = open_link(PLANE, tmp_path / "runs", monkeypatch)
    app.run()
    press(app, "run")
    (run,) = finish(app)
    app.run()
    app.session_state["view"] = "Curves"
    app.run()
    assert not app.exception and not app.error
    assert all(told["on_click"] == "ignore" and callable(make) for _, make, told in offered.values())
    names = {name.removeprefix(f"{run.id}-"): value for name, value in offered.items()}
    assert next(iter(names)) == "slide.png" and names["slide.png"][0] == "For a slide (PNG)"
    charts = ("plane", "value-00000", "value", "difference", "weights", "effective", "agreement", "lineage")
    assert {f"{chart}.{kind}" for chart in charts for kind in ("svg", "png", "csv")} <= set(names)
    assert all(re.fullmatch(r"[a-z0-9.-]+", name) for name in names)
    titles = set()
    for chart in charts:
        root = ElementTree.fromstring(names[f"{chart}.svg"][1]())
        texts = ["".join(one.itertext()) for one in root.iter(f"{SVG}text")]
        titles.add(root.find(f"{SVG}title").text)
        assert root.find(f"{SVG}title").text.split(": ")[0] in texts and any("seed 0" in text for text in texts)
        head, *rows = names[f"{chart}.csv"][1]().decode().splitlines()
        assert rows and len(rows[0].split(",")) == len(head.split(","))
    assert len(titles) == len(charts)
    for chart in ("plane", "slide"):
        image = Image.open(io.BytesIO(names[f"{chart}.png"][1]()))
        assert make_recipe(json.loads(image.text[RECIPE_CHUNK])) == run.recipe
    assert image.size == (1920, 1080)
