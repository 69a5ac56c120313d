"""What the player is sent: arrays, moments that fit, rows of ancestors; and what an address brings along."""

import base64
import json

import numpy as np
import pytest
from studio_page import finish, open_link, press

from studio.charts.player import MOST_SENT, Scenes, packed, playback
from studio.views import view_of
from superdiff_engine.domains import domains
from superdiff_engine.domains.checked import make_recipe
from superdiff_engine.runs.run import Run

CORRECTED = {
    "domain": "plane",
    "experts": [{"model": "petal_a"}, {"model": "petal_b"}],
    "operator": {"name": "formula", "text": "1 + 2"},
    "levels": {"steps": 12},
    "batch": 16,
    "correction": {"particles": 8, "threshold": 0.9},
}


def unpacked(value):
    """As static/player.js reads it."""
    return np.frombuffer(base64.b64decode(value["content"]), f"<{value['kind']}").reshape(value["shape"])


@pytest.fixture(scope="module")
def corrected():
    run = Run(make_recipe(CORRECTED))
    run.tempo.slow(500.0)  # so that every step has its moment
    run.execute()
    return run


def sent(run, scenes=None, most=MOST_SENT):
    view = view_of(run.recipe.domain)
    return playback("t", run.recipe, run.trace, run.titles, scenes, view.compared, most=most).data


def told(app):
    """What the player on a page is told."""
    (found,) = [one for one in app.get("bidi_component") if "superdiff_player" in one.proto.component_name]
    return json.loads(found.proto.json)


def test_arrays_are_cut_off_where_their_type_ends_and_gaps_stay_gaps():
    values = np.array([[1.4, -7e9], [np.nan, 7e9]])
    np.testing.assert_array_equal(unpacked(packed(values, "i2")), [[1, -32768], [0, 32767]])
    np.testing.assert_array_equal(unpacked(packed(values)), values.astype(np.float32))


def test_curves_hold_the_step_of_every_moment_with_the_values_of_the_trace(corrected):
    data, curves = sent(corrected), corrected.trace.curves()
    index = data["curves"]["index"]
    assert data["index"] == [frame.index for frame in corrected.trace.frames] == list(range(13))
    assert set(data["index"]) <= set(index)
    rows = np.searchsorted(curves.index, index)
    np.testing.assert_array_equal(unpacked(data["curves"]["single"]), curves.log_density[rows])
    np.testing.assert_allclose(unpacked(data["curves"]["mean"]), curves.mean_log_density[rows], rtol=1e-6)
    share = 100 * curves.effective[rows] / 8
    np.testing.assert_allclose(unpacked(data["curves"]["effective"]["share"]), share, rtol=1e-6)


def test_a_final_sample_is_found_in_the_row_where_its_ancestor_stood(corrected):
    """Independently: where the particles of a moment stand, the survivor's own log-density is the one of its row."""
    trace = corrected.trace
    assert trace.resamplings
    frames = {frame.index: frame.preview for frame in trace.frames}
    scenes = Scenes("plane", 16, lambda frame: {}, "")
    data, curves = sent(corrected, scenes), trace.curves()
    rows = unpacked(data["ancestors"])
    assert rows.shape == (13, 16) and len({*rows[0].tolist()}) < 16
    for place, step in enumerate(data["index"]):
        for sample in range(16):
            own, there = curves.log_density[step, :, sample], frames[step].log_density[:, rows[place, sample]]
            np.testing.assert_allclose(own, there, rtol=1e-5)
            assert trace.ancestor(step, sample) == rows[place, sample]


def test_moments_are_thinned_to_what_fits_and_the_last_one_stays(corrected):
    scenes = Scenes("plane", 16, lambda frame: {"letters": "x" * 100_000}, "")
    data = sent(corrected, scenes, most=2_000_000)
    assert len(json.dumps(data)) < 2_000_000
    assert data["index"][0] == 0 and data["index"][-1] == 12 and len(data["moments"]) == len(data["index"]) == 3
    whole = sent(corrected, scenes)
    assert len(whole["moments"]) == 13


def test_a_short_run_has_moments_to_be_played():
    recipe = {"domain": "plane", "experts": [{"model": "overlap_a"}, {"model": "overlap_b"}], "levels": {"steps": 120}}
    run = Run(make_recipe(recipe))
    run.execute()
    frames = run.trace.frames
    assert run.seconds < 2 or len(frames) >= 6
    assert len(frames) >= 6 and [frames[0].index, frames[-1].index] == [0, 120]


def test_every_domain_says_what_its_moments_are():
    """Without a moment there is no scene, and no error; with one, tests of the browser draw it."""

    class Nothing:
        frames, latest = [], None

    class Job:
        recipe = make_recipe(CORRECTED)

        class run:
            trace = Nothing

    assert [view_of(name).scenes(Job) for name in domains()] == [None] * len(domains())


def test_an_address_names_sample_and_step_and_the_player_opens_there(tmp_path, monkeypatch):
    app = open_link(CORRECTED, tmp_path / "runs", monkeypatch)
    app.run()
    press(app, "run")
    (run,) = finish(app)

    def open_at(**query):
        found = open_link(CORRECTED, tmp_path / "runs", monkeypatch)
        for name, value in ({"run": run.id, "view": "replay"} | query).items():
            found.query_params[name] = value
        found.run()
        assert not found.exception and not found.error
        return found

    found = open_at(sample="7", step="4")
    assert [told(found)[name] for name in ("sample", "step")] == [7, 4]
    assert "no descendants among the finished samples" in told(found)["given"]["note"]
    found.session_state["view"] = "Samples"
    found.run()
    (field,) = [one for one in found.number_input if one.label == "Sample"]
    assert field.value == 7
    # Chosen there, it is chosen in the replay.
    field.set_value(5).run()
    found.session_state["view"] = "Replay"
    found.run()
    assert told(found)["sample"] == 5
    for query in ({"sample": "16"}, {"sample": "1e3", "step": "<b>"}):
        found = open_at(**query)
        assert told(found)["sample"] is None and told(found)["step"] is None
        found.session_state["view"] = "Samples"
        found.run()
        assert not found.exception and not found.error
