"""Players of three small runs, whose records lie in the library's folder for the test to compare with."""

import os
from pathlib import Path
from types import SimpleNamespace

import streamlit as st

from studio.charts.player import draw_player, playback
from studio.views import view_of
from superdiff_engine.domains import get_domain
from superdiff_engine.domains.checked import make_recipe
from superdiff_engine.runs.run import Run

SMALL = {"plane": (30, 64), "pictures": (4, 9), "molecules": (4, 4)}


@st.cache_resource
def made(domain):
    steps, batch = SMALL[domain]
    recipe = next(iter(get_domain(domain).examples().values())).model_dump()
    recipe |= {"levels": {"steps": steps}, "batch": batch, "operator": {"name": "or"}, "correction": None}
    run = Run(make_recipe(recipe), Path(os.environ["SUPERDIFF_LIBRARY"]) / domain)
    run.tempo.slow(1000.0)  # so that every step has its moment
    run.execute()
    return run


st.button("again")
for domain in SMALL if st.checkbox("players", True) else ():
    run, view = made(domain), view_of(domain)
    job = SimpleNamespace(run=run, recipe=run.recipe)
    names = ["<img src=x onerror='window.hit = 1'>", *run.titles[1:]]  # nothing that is handed over becomes markup
    played = playback(domain, run.recipe, run.trace, names, view.scenes(job), view.compared, "<b>note</b>")
    with st.container(key=f"at-{domain}"):
        draw_player(played, domain, None, None)
