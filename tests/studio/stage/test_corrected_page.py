"""The page of a corrected run without a browser: every view, the choice of weighing, and the run beside others."""

import numpy as np
import pandas as pd
from studio_page import finish, open_link, press, words

from superdiff_engine.measured import Figure, Sampled

PLANE = {
    "domain": "plane",
    "experts": [{"model": "petal_a"}, {"model": "petal_b"}],
    "operator": {"name": "formula", "text": "1 + 2"},
    "levels": {"steps": 12},
    "batch": 16,
    "correction": {"particles": 8, "threshold": 0.9},
}


def test_a_corrected_runs_page_shows_its_weights_and_its_lineage(tmp_path, monkeypatch):
    app = open_link(PLANE, tmp_path / "runs", monkeypatch)
    app.run()
    press(app, "run")
    (run,) = finish(app)
    result = run.result
    assert ", corrected" in words(app) and "8 particles a group" in words(app)
    assert "The area of a dot is what its sample counts for" in words(app)
    assert f"Sample 0 counts for {100 * result.shares[0]:.0f} % of its group of 8 (group 0" in words(app)
    for chosen, said in (("as drawn", "not yet the target"), ("one a group", "independent samples of the target")):
        app.session_state["weighing"] = chosen
        app.run()
        assert not app.exception and not app.error and said in words(app)
    marks = len(run.trace.marks)
    for shown, said in (
        ("Replay", ""),
        ("Curves", f"the {marks} steps at which particles of one or more of the 2 groups were resampled"),
        ("Table", ""),
    ):
        app.session_state["view"] = shown
        app.run()
        assert not app.exception and not app.error and said in words(app), shown
        if shown == "Curves":
            assert "distinct ancestor" in words(app) and "of 16 samples, in 2 groups" in words(app)
    tables = [frame.value for frame in app.dataframe]
    (table,) = [found for found in tables if "group" in found]
    np.testing.assert_allclose(table["counts for, % of its group"], 100 * result.shares)
    (figures,) = [found for found in tables if "measured" in found]
    gaps = pd.Series(figures["value"].tolist(), figures["measured"])
    (label,) = [name for name in gaps.index if name.startswith("error of the estimated")]
    assert "weighted mean" in label
    press(app, "run-all-beside")
    runs = finish(app)
    assert {one.recipe.correction is None for one in runs} == {True, False}
    assert "Means over the samples, weighted where particles are" in words(app)
    (beside,) = [frame.value for frame in app.dataframe if "figure" in frame.value]
    row = beside[beside["figure"].str.startswith("log q of")].iloc[0].tolist()
    weighted, alike = (in_words(one.mean(result.log_density[0])) for one in (result.sampled, Sampled(16)))
    # By every sample alike it would be another number.
    assert weighted in row and alike != weighted


def in_words(measured):
    value, error = measured
    return Figure(name="a", title="a", value=value, error=error).text()
