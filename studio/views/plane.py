"""The plane: samples over the contour lines of every expert, and what the exact densities say of the estimates."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go
import streamlit as st
import torch

from superdiff_engine.arrays import Decoded
from superdiff_engine.domain import FormulaPage
from superdiff_engine.domains import get_domain
from superdiff_engine.domains.colours import expert_colours as colours_of
from superdiff_engine.domains.experts import of_kind
from superdiff_engine.domains.plane.arrays import PlanePreview
from superdiff_engine.domains.plane.contours import DEPTHS
from superdiff_engine.domains.plane.distance import log_target, target_of
from superdiff_engine.domains.plane.domain import HALF_WIDTHS
from superdiff_engine.domains.plane.field import Field
from superdiff_engine.domains.plane.formula_samples import FormulaSamples, read_samples
from superdiff_engine.domains.plane.mixture import GaussianMixture
from superdiff_engine.figures.numbers import table_csv
from superdiff_engine.recipes.document import Recipe
from superdiff_engine.result import Result
from superdiff_engine.trace import Frame

from ..charts import finished as figures
from ..charts import live as charts
from ..charts import panels
from ..charts.palette import TARGET, dot, expert_colours, theme_name
from ..charts.plane import draw_plane, plane_moment, plane_shared
from ..charts.player import Scenes
from ..charts.scale import draw_plotly
from ..job import Job
from ..stage.chart_files import draw_chart_files
from ..stage.progress import names_of
from ..stage.sample import BY_WEIGHT, choose_weighing, draw_clickable, draw_one_sample, pick
from ..stage.together import draw_clickable_together
from . import Beside, Compared, View

if TYPE_CHECKING:
    from superdiff_engine.figures.charts import Sheet

_ALT = (
    "The samples in the plane over contour lines of every expert's density and of the composed one, at the level of now"
)
#: Of the preview of the experts: half the width of the view in units of the plane, and cells each way.
_HALF_WIDTH, _CELLS = HALF_WIDTHS[0], 96
#: Of the panels of a formula's page; they are as wide as the view where its samples go further out than `_NARROW`.
_PANEL_WIDTH, _PANEL_CELLS, _NARROW = 3.2, 129, 2.8


class PlaneView(View[PlanePreview, Decoded]):
    """Dots and contour lines."""

    small_note = BY_WEIGHT.meaning
    below_preview = 58

    def draw_preview(self, frame: Frame[PlanePreview], names: list[str], key: str, size: int, recipe: Recipe) -> None:
        document = recipe.to_json()
        field = _field(document, float(frame.preview.extent[1]))
        # Whose ancestors particles are, nobody asks before the run has ended.
        shared = plane_shared(field, _not_composed(recipe), still=recipe.correction is None)
        draw_plane(field, frame, names, f"{key}-plane", document, size, shared, _ALT)

    def compared(self, frame: Frame[PlanePreview]) -> Compared:
        return Compared(frame.preview.log_density, frame.preview.exact)

    def scenes(self, job: Job) -> Scenes | None:
        """Samples over contour lines at each moment's level, with all that moves them."""
        frames, recipe = job.run.trace.frames, job.recipe
        if not frames:
            return None
        field = _field(recipe.to_json(), max(float(frame.preview.extent[1]) for frame in frames))
        missing = _not_composed(recipe)
        return Scenes(
            kind="plane",
            rows=len(frames[-1].preview.positions),
            moment=partial(plane_moment, field),
            alt=_ALT,
            shared=plane_shared(field, missing),
            note=figures.contour_note(not missing),
        )

    def draw_samples(self, job: Job, result: Result) -> None:
        frame = job.run.trace.latest
        if frame is None:
            return
        names, colours, theme = names_of(job), expert_colours(len(job.run.titles)), theme_name()
        preview: PlanePreview = frame.preview
        left, right = st.columns([1.1, 1], gap="medium")
        with right:
            picked = pick(job, len(preview.positions))
        with left:
            traced = job.run.trace.traced
            weighed = choose_weighing(job, result)
            counts, rows = weighed.counts(result, len(preview.positions)), weighed.rows(result)
            target = _shown_target(job.recipe, preview, job.id)
            figure = figures.plane_figure(
                preview, names, colours, theme, picked, traced=traced, target=target, counts=counts, rows=rows
            )
            alt = "The finished samples in the plane over the contour lines of every expert's density"
            draw_clickable(job, figure, alt)
            _scatter_files(job, result, preview, target, counts, rows)
            whose = f"one of the {traced} outlined samples" if traced < len(preview.positions) else "a sample"
            lines = figures.contour_note(target is not None)
            outside = int((np.abs(preview.positions) > preview.extent[1]).any(1).sum())
            far = f" {outside:,} of {len(preview.positions):,} samples lie outside this view." if outside else ""
            st.caption(f"{weighed.note(result)}{lines}{far} Click {whose} to see its own curves.")
        with right:
            draw_one_sample(job, result, picked)

    def draw_beside(self, job: Job, result: Result, beside: Beside) -> None:
        frame = job.run.trace.latest
        if frame is None:
            return
        preview: PlanePreview = frame.preview
        count = len(preview.positions)
        figure = figures.plane_figure(
            preview,
            beside.names,
            beside.colours,
            theme_name(),
            beside.picked if beside.picked < count else None,
            height=330 if beside.narrow else 420,
            target=_target(job.recipe, preview),
            counts=BY_WEIGHT.counts(result, count),
        )
        figure.update_layout(showlegend=False)
        figure.update_xaxes(range=[-beside.reach, beside.reach])
        figure.update_yaxes(range=[-beside.reach, beside.reach])
        draw_clickable_together(job, figure, "The finished samples in the plane over every expert's contour lines")

    def reach(self, job: Job) -> float:
        frame = job.run.trace.latest
        return 0.0 if frame is None else float(frame.preview.extent[1])

    def draw_formula_page(self, page: FormulaPage, others: Sequence[FormulaPage]) -> None:
        """The exact target, and the samples over its lines without and with the correction."""
        made, theme = read_samples()[page.key], theme_name()
        wide = np.quantile(np.abs(made.corrected if len(made.corrected) else made.plain), 0.99) > _NARROW
        preview = _densities(page.recipe, _HALF_WIDTH if wide else _PANEL_WIDTH, _PANEL_CELLS)
        grids, colours, extent = list(preview.contours), expert_colours(len(preview.contours)), preview.extent
        target = _target(page.recipe, preview)
        titles = {info.id: info.title for info in get_domain(page.recipe.domain).models()}
        legend = [
            f"{dot(place)} {letter} (*q*{sub}): {titles[expert.model]}"
            for place, (letter, sub, expert) in enumerate(zip("ABC", "₁₂₃", page.recipe.experts, strict=False))
        ]
        first, second, third = st.columns(3, gap="medium")
        if target is None:
            other = next(one for one in others if one.key == page.beside)
            beside = _target(other.recipe, preview)
            legend.append("— equally likely to both")
            with first:
                figure = panels.panel_figure(extent, theme, experts=grids, colours=colours, equal=True)
                _panel("The experts, and where they agree", figure, "equal", "Contour lines of both experts")
            with second:
                figure = panels.panel_figure(
                    extent, theme, experts=grids, colours=colours, equal=True, samples=made.plain
                )
                _panel("Samples", figure, "plain", "Samples over the experts' contour lines")
            with third:
                figure = panels.panel_figure(extent, theme, beside, samples=read_samples()[other.key].corrected)
                _panel(other.title, figure, "beside", f"Samples of {other.title} over its target's contour lines")
        else:
            with first:
                figure = panels.panel_figure(extent, theme, target, True, grids, colours)
                _panel("Exact target", figure, "target", "Density of the exact target, with the experts' contour lines")
            with second:
                figure = panels.panel_figure(extent, theme, target, samples=made.plain)
                _panel(
                    f"Samples as they come · off by {made.plain_distance:.3f}",
                    figure,
                    "plain",
                    "Samples without correction over the target's contour lines",
                )
            with third:
                figure = panels.panel_figure(extent, theme, target, samples=made.corrected)
                _panel(
                    f"Samples, corrected · off by {made.corrected_distance:.3f}",
                    figure,
                    "corrected",
                    "Samples with correction over the target's contour lines",
                )
        legend.append(f':color[●]{{foreground="{TARGET[theme]}"}} exact target')
        st.markdown("\u2003".join(legend))
        st.caption(f"{figures.contour_note(True)} {_figures_note(page.recipe, made)}")

    def formula_thumbnail(self, page: FormulaPage) -> str:
        return _thumbnail(page.recipe.to_json(), theme_name())

    def draw_experts(self, recipe: Recipe) -> None:
        """Contour lines of the exact densities."""
        titles = {info.id: info.title for info in get_domain(recipe.domain).models()}
        names = [
            f"{place} {titles.get(expert.model, expert.model)}" for place, expert in enumerate(recipe.experts, start=1)
        ]
        preview = _whole_target(recipe)
        target = _shown_target(recipe, preview, "experts")
        option = charts.plane_option(preview, names, expert_colours(len(names)), theme_name(), 480, target)
        st.echarts_chart(
            option, key="experts", height=480, width=520, alt="Contour lines of every expert's exact density"
        )
        beyond = " The exact target reaches beyond this view." if target is not None and not _within(target) else ""
        st.caption(f"{figures.contour_note(target is not None)}{beyond}")


@lru_cache(maxsize=16)
def _field(document: str, half_width: float) -> Field:
    return Field(Recipe.model_validate_json(document), half_width)


def _not_composed(recipe: Recipe) -> str:
    """Why there is no composed density, in a sentence; "" where there is one."""
    operator = recipe.operator.build(recipe.names)
    return operator.no_target if operator.target(len(recipe.experts)) is None else ""


@lru_cache(maxsize=64)
def _thumbnail(document: str, theme: str) -> str:
    recipe = Recipe.model_validate_json(document)
    preview = _densities(recipe, _PANEL_WIDTH, _PANEL_CELLS // 2)
    colours = colours_of(len(preview.contours), theme)
    return panels.thumbnail_svg(preview.extent, theme, _target(recipe, preview), list(preview.contours), colours)


def _panel(title: str, figure: go.Figure, key: str, alt: str) -> None:
    st.markdown(f"**{title}**")
    draw_plotly(figure, key=f"formula-{key}", config=panels.CONFIG, alt=alt)


def _figures_note(recipe: Recipe, made: FormulaSamples) -> str:
    """How the samples of a formula's page were made, and what its figures are."""
    shown = f"Shown are {len(made.plain):,} of {recipe.batch:,} samples, after {recipe.levels.steps} steps."
    if recipe.correction is None:
        return shown
    said = {0: "never resampled", 1: "resampled once", 2: "resampled twice"}
    times = said.get(made.resampled, f"resampled {made.resampled} times")
    return (
        f"{shown} Off by: total variation from the exact target, from 0 to 1; of as many exact samples it is "
        f"{made.floor:.3f} on average. The particles were {times}, and their effective sample size at the "
        f"end is {made.effective:,.0f}."
    )


def _target(recipe: Recipe, preview: PlanePreview) -> np.ndarray | None:
    """Log-density of the exact target on the preview's grid, at its level; None where the operator has none."""
    formula = target_of(recipe)
    return None if formula is None else log_target(formula, preview.contours)


def _within(target: np.ndarray) -> bool:
    """Whether a target's lines all close inside the grid on which it is given, [rows, columns]."""
    edge = max(target[[0, -1]].max(), target[:, [0, -1]].max())
    return bool(edge < target.max() - max(DEPTHS))


def _whole_target(recipe: Recipe) -> PlanePreview:
    """The experts on the first of the views that holds the exact target, which NOT can push far out."""
    for half_width in HALF_WIDTHS:
        preview = _densities(recipe, half_width)
        target = _target(recipe, preview)
        if target is None or _within(target):
            return preview
    return _densities(recipe)


def _scatter_files(
    job: Job,
    result: Result,
    preview: PlanePreview,
    target: np.ndarray | None,
    counts: np.ndarray | None,
    rows: np.ndarray | None,
) -> None:
    """What the samples that are shown can be saved as."""
    theme = theme_name()

    def sheet() -> Sheet:
        from superdiff_engine.figures.charts import scatter_sheet  # not before it is asked for: it takes a second

        return scatter_sheet(
            result.recipe, job.run.titles, preview.positions, preview.weights, preview.contours, preview.extent, theme,
            target=target, counts=counts, rows=rows, level=result.level,
        )  # fmt: skip

    chosen = np.arange(len(preview.positions)) if rows is None else rows
    table = np.column_stack([chosen, preview.positions[chosen]])
    draw_chart_files(
        job,
        "plane",
        "Samples in the plane",
        sheet,
        lambda: table_csv(table, "sample_from_0,x_of_the_view,y_of_the_view"),
    )


def _shown_target(recipe: Recipe, preview: PlanePreview, place: str) -> np.ndarray | None:
    """The same where its switch is on; every place's switch begins as the last one was left."""
    target = _target(recipe, preview)
    if target is None:
        return None
    shown = st.toggle(
        "Exact target",
        value=st.session_state.get("target-shown", True),
        key=f"target-{place}",
        help="Contour lines of the density that the operator promises: log p = f(log q₁, log q₂, …), at the level of "
        "now, from the experts' exact densities",
    )
    st.session_state["target-shown"] = shown
    return target if shown else None


def _densities(recipe: Recipe, half_width: float = _HALF_WIDTH, cells: int = _CELLS) -> PlanePreview:
    """A preview of no samples, at the data's own level."""
    domain = get_domain(recipe.domain)
    axis = torch.linspace(-half_width, half_width, cells, dtype=torch.float64)
    places = torch.cartesian_prod(axis, axis).flip(1)
    experts = [domain.load(expert, "cpu", recipe.dtype) for expert in recipe.experts]
    mixtures = of_kind(experts, GaussianMixture)
    grids = [expert.log_density(places, 0.0).view(cells, cells).numpy() for expert in mixtures]
    none = np.zeros((len(grids), 0))
    extent = np.array([-half_width, half_width, -half_width, half_width])
    return PlanePreview(np.zeros((0, 2)), none, none, none, np.stack(grids), extent)


VIEW = PlaneView()
