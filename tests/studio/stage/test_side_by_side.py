"""Runs side by side: of different recipes and domains, in any order, with titles, one pick, curves and figures."""

import io

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest
from studio_page import APP, finish, press, words

from studio import session, titles
from studio.charts import compared
from studio.stage.side_by_side import figures_table
from superdiff_engine.domains.checked import make_recipe
from superdiff_engine.measured import Figure
from superdiff_engine.runs.comparison import rows_of
from superdiff_engine.runs.run import Run

PAIR = [{"model": "overlap_a"}, {"model": "overlap_b"}]
NASTY = "<b>[x](y)</b> $\\alpha$ **漢字** :smile:"


def plane(**fields):
    return make_recipe({"domain": "plane", "experts": PAIR, "levels": {"steps": 4}, "batch": 8} | fields)


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("SUPERDIFF_RUNS", str(tmp_path / "runs"))
    session.registry.clear()
    return session.registry()


def open_runs(server, recipes, **query):
    jobs = [server.submit(recipe) for recipe in recipes]
    for job in jobs:
        assert job.run.finished.wait(120) and job.run.state == "done", job.run.message
    app = AppTest.from_file(str(APP), default_timeout=90)
    app.query_params["run"] = ",".join(job.id for job in jobs)
    for name, value in query.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception and not app.error
    return app, [job.id for job in jobs]


def heads(app):
    return [one.value.split("} ", 1)[1] for one in app.markdown if "[■]" in one.value]


def table(app):
    (found,) = [frame.value for frame in app.dataframe if "figure" in frame.value]
    return found


def test_two_runs_are_told_apart_picked_from_moved_renamed_and_closed(server):
    app, (first, second) = open_runs(server, [plane(), plane(operator={"name": "and"}, batch=12)])
    said = "They differ in operator \\(OR, AND\\) and samples \\(8, 12\\); everything else is equal."
    assert said in words(app) and heads(app) == ["OR, 8 samples", "AND, 12 samples"]
    assert list(table(app))[2:] == ["OR, 8 samples", "AND, 12 samples", "what it is"] and "±" in table(app).iloc[0, 2]
    (field,) = [one for one in app.number_input if one.key == "picked-together"]
    field.set_value(10)  # in all runs that have so many
    next(one for one in app.toggle if one.key == "less-the-first").set_value(True)
    press(app, f"right-{first}")
    assert heads(app) == ["AND, 12 samples", "OR, 8 samples"] and app.session_state["shown"] == [second, first]
    assert "Sample 10, log q" in words(app) and "This run has 8 samples, none of number 10" in words(app)
    assert list(table(app))[3] == "OR, 8 samples − first"
    next(one for one in app.text_input if one.key == f"title-{first}").set_value(f"  {NASTY} ")
    app.run()
    assert not app.exception and NASTY in table(app).columns[3]
    assert "\\<b\\>" in heads(app)[1] and len(NASTY) <= titles.LONGEST
    press(app, f"close-{second}")
    assert not app.exception and app.session_state["shown"] == [first] and "Finished" in words(app)


def test_six_runs_of_two_domains_stand_side_by_side_and_more_are_said(server):
    proteins = {
        "domain": "proteins",
        "experts": [{"model": "proteins_alpha"}, {"model": "proteins_beta"}],
        "levels": {"steps": 2},
        "batch": 2,
        "residues": 30,
        "operator": {"name": "and"},
        "device": "cpu",
    }
    recipes = [
        plane(),
        make_recipe(proteins),
        plane(operator={"name": "formula", "text": "1 but not 2"}, correction={"particles": 4}),
        plane(experts=[{"model": "ring"}], operator={"name": "average"}),
        plane(seed=5),
        plane(levels={"steps": 3}),
        plane(seed=9),
    ]
    app, ids = open_runs(server, recipes, titles="first\n\n third  one ")
    assert "Of 7 runs the first 6 are shown" in words(app) and app.session_state["shown"] == ids[:6]
    assert "They are of different domains \\(Plane, Proteins\\)" in words(app)
    assert heads(app)[0] == "first" and heads(app)[2] == "third one" and len(set(heads(app))) == 6
    assert any("Proteins" in head for head in heads(app))
    assert "no figure in common" in words(app)
    next(one for one in app.toggle if str(one.key).startswith("common")).set_value(False)
    app.run()
    found = table(app).set_index("figure")
    assert found.loc["radius of gyration"].to_list()[1] == "–" and "±" in found.loc["radius of gyration"].iloc[2]
    assert len(app.get("plotly_chart")) >= 6 and not app.exception
    assert app.session_state["titles"][ids[0]] == "first"
    app.run()
    assert [session.registry().find(one).id for one in app.session_state["shown"]] == ids[:6]


def test_a_run_that_is_added_is_shown_with_its_progress_and_joins(server):
    app, (first,) = open_runs(server, [plane()])
    other = server.submit(plane(experts=[{"model": "ring"}], operator={"name": "average"}))
    assert other.run.finished.wait(60)
    app.run()
    press(app, "add-run")
    assert app.session_state["shown"] == [first, other.id] and "experts \\(" in words(app)
    slow = server.submit(plane(levels={"steps": 10_000}))
    while len(slow.run.trace) < 2:
        pass
    app.session_state["shown"] = [first, slow.id]
    app.run()
    assert not app.exception and f"cancel-{slow.id}" in {button.key for button in app.button}
    assert not [frame for frame in app.dataframe if "figure" in frame.value]
    server.cancel(slow)
    assert len(finish(app)) == 3 and "Cancelled" in words(app)
    assert "±" in table(app).iloc[0, 2]


def curves_of(*recipes):
    found = []
    for place, recipe in enumerate(recipes):
        run = Run(recipe)
        run.execute()
        names = [f"{k} <i>{name}" for k, name in enumerate(run.titles, start=1)]
        colours = ["#111111", "#222222", "#333333"][: len(names)]
        found.append(compared.RunCurves(f"run {place}", run.trace.curves(), names, colours, f"#{place}a0000"))
    return found


def test_curves_of_the_same_experts_share_one_figure():
    runs = curves_of(plane(), plane(seed=1))
    figure = compared.together(runs, "weights", "light")
    lines = [trace for trace in figure.data if trace.x[0] is not None]
    assert [(line.line.color, line.line.dash) for line in lines] == [
        (run.colour, dash) for run in runs for dash in compared.DASHES[:2]
    ]
    for line, values in zip(lines, [run.curves.mean_weights[:, k] for run in runs for k in (0, 1)], strict=True):
        np.testing.assert_allclose(line.y, values)
    named = [trace.name for trace in figure.data[len(lines) :]]
    assert named == ["run 0", "run 1", "1 &lt;i&gt;Upper pair", "2 &lt;i&gt;Left pair"]
    assert figure.layout.xaxis.title.text and figure.layout.yaxis.title.text


def test_curves_of_other_experts_stand_on_the_same_axes():
    three = [{"model": "petal_a"}, {"model": "petal_b"}, {"model": "petal_c"}]
    runs = curves_of(plane(), plane(experts=three), plane(experts=[{"model": "ring"}], operator={"name": "average"}))
    found = compared.apart(runs, "value")
    assert [len(figure.data) for figure in found] == [2, 3, 1]
    (across,), (up,) = ({axis(figure).range for figure in found} for axis in (_x, _y))
    means = [run.curves.mean_log_density for run in runs]
    assert up[0] < min(one.min() for one in means) and max(one.max() for one in means) < up[1]
    levels = np.concatenate([run.curves.level for run in runs])
    np.testing.assert_allclose(across, np.log10([levels.max(), levels.min()]))  # from noise to data
    assert all(_x(figure).title.text and _y(figure).title.text == "log q, nats" for figure in found)
    assert all("<i>" not in trace.name for figure in found for trace in figure.data)


def _x(figure):
    return figure.layout.xaxis


def _y(figure):
    return figure.layout.yaxis


def test_a_table_of_figures_has_a_column_a_run_whatever_they_are_called():
    one = Figure(name="a", title="a", value=1, error=0.1, better="lower", meaning="The first.")
    other = Figure(name="b", title="b", value=2)
    found = figures_table(rows_of([[one], [one, other]]), ["unit", "figure"])
    assert list(found) == ["figure", "unit", "unit (2)", "figure (2)", "what it is"]
    assert found.values.tolist() == [["a ↓", "", "1.00 ± 0.10", "1.00 ± 0.10", "The first."], ["b", "", "–", "2", ""]]


def test_the_saved_table_is_read_back(server):
    from studio.stage import side_by_side

    jobs = [server.submit(plane()), server.submit(plane(seed=4))]
    assert all(job.run.finished.wait(60) for job in jobs)
    shown = [side_by_side._Shown(job, str(place), "#000000", [], []) for place, job in enumerate(jobs)]
    found = pd.read_csv(io.StringIO(side_by_side._comparison(shown).csv()))
    assert set(found["run"]) == {job.id for job in jobs} and set(found["recipe: seed"]) == {0, 4}
