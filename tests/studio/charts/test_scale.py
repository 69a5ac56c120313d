"""Charts for a room: letters and lines larger, nothing fainter, the data untouched; what a browser tells is bounded."""

import numpy as np
import plotly.graph_objects as go
import pytest

from studio.charts import finished, live, scale
from studio.charts.scale import enlarged
from superdiff_engine.domains.checked import make_recipe
from superdiff_engine.runs.run import Run

COLOURS = ["#0072b2", "#d55e00"]


@pytest.fixture(scope="module")
def run():
    experts = [{"model": "overlap_a"}, {"model": "overlap_b"}]
    made = Run(make_recipe({"domain": "plane", "experts": experts, "levels": {"steps": 6}, "batch": 16}))
    made.execute()
    return made


def options(run):
    frame = run.trace.latest.preview
    yield live.plane_option(frame, ["a", "b"], COLOURS, "light", 400)
    yield live.curve_option(run.trace.curves(), "weights", ["a", "b"], COLOURS, 6, True)
    yield live.agreement_option(frame.log_density, frame.exact, ["a", "b"], COLOURS, "light")


def test_everything_is_larger_and_nothing_else_changes(run):
    for option in options(run):
        made = enlarged(option, 400, 2.0, "light")
        for name in ("xAxis", "yAxis"):
            assert made[name]["axisLabel"]["fontSize"] >= 24 and made[name]["nameTextStyle"]["fontSize"] >= 24
            assert made[name]["nameGap"] >= 2 * option[name]["nameGap"] and made[name]["name"] == option[name]["name"]
        assert made["legend"]["textStyle"]["fontSize"] >= 24
        for before, after in zip(option["series"], made["series"], strict=True):
            if "lineStyle" in before:
                assert after["lineStyle"]["width"] == 2 * before["lineStyle"]["width"]
                assert after["lineStyle"]["color"] == before["lineStyle"]["color"]
                assert after["lineStyle"]["opacity"] >= max(0.5, before["lineStyle"]["opacity"])
            if "symbolSize" in before:
                assert after["symbolSize"] == 2 * before["symbolSize"]
        assert made["dataset"] is option["dataset"]


def test_a_finished_figure_is_larger_where_it_has_letters_lines_or_dots(run):
    frame, screen = run.trace.latest.preview, scale.Screen(1280, 720, 2.0)
    for figure in (
        finished.curve_figure(run.trace.curves(), "weights", ["a", "b"], COLOURS, "level"),
        finished.plane_figure(frame, ["a", "b"], COLOURS, "light"),
        finished.agreement_figure(frame.log_density, frame.exact, ["a", "b"], COLOURS, "light"),
    ):
        before, height = [trace.to_plotly_json() for trace in go.Figure(figure).data], figure.layout.height
        scale.enlarge_figure(figure, screen, "light")
        assert height < figure.layout.height <= 0.75 * 720
        assert figure.layout.xaxis.tickfont.size >= 24 and figure.layout.legend.font.size >= 24
        for was, trace in zip(before, figure.data, strict=True):
            if was.get("line", {}).get("width"):
                assert trace.line.width == 2 * was["line"]["width"]
            if was.get("marker", {}).get("size") is not None:
                assert np.array_equal(trace.marker.size, 2 * np.asarray(was["marker"]["size"]))
    scale.enlarge_figure(go.Figure(go.Heatmap(z=[[0.0]])), screen, "dark")


def test_a_unit_of_the_plane_stays_as_long_across_as_up(run):
    option = next(iter(options(run)))
    made = enlarged(option, 500, 2.0, "dark")
    rules = made["media"]
    assert all(one["option"]["grid"]["width"] == one["option"]["grid"]["height"] for one in rules)
    room = made["grid"]["top"] + made["grid"]["bottom"]
    assert max(one["option"]["grid"]["height"] for one in rules) == 500 - room


def test_what_a_browser_tells_is_bounded(monkeypatch):
    monkeypatch.setattr(scale.st, "session_state", {})

    def tell(told):
        scale.note_screen(told)
        return scale.presented()

    assert tell([1280, 720, 1.6]) == scale.Screen(1280, 720, 1.6)
    assert tell([1e12, -5, 1e9]) == scale.Screen(16_000, 200, 6.0)
    assert tell([1280, 720, 0]) == scale.Screen(1280, 720, 1.0)
    for nothing in ([], None, "large", [1, 2], ["a", "b", "c"], {"width": 3}, [1, 2, float("nan")]):
        assert tell(nothing) is None
