"""Two to six runs side by side, of any recipes: what differs, samples with the same pick, curves and figures."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from superdiff_engine.figures.meanings import MEANINGS
from superdiff_engine.measured import Figure
from superdiff_engine.result import Result
from superdiff_engine.runs.comparison import Comparison, FigureRow, distinct, in_one_line, titles_of
from superdiff_engine.runs.run import Run

from .. import session, titles
from ..charts import compared, finished
from ..charts.live import EFFECTIVE_TITLE, TITLES, Quantity
from ..charts.palette import expert_colours, run_colours, theme_name
from ..charts.scale import draw_plotly
from ..guard import callback, guarded, plain, show_sentence
from ..job import Job
from ..part import part
from ..views import Beside, view_of
from ..words import STATES
from .compare import draw_add_run, draw_other_operator
from .exports import Download, draw_download, draw_downloads
from .live import draw_small_progress
from .measured import figures_of
from .progress import seconds_text
from .sample import FIGURE_POINTS
from .together import one_sample_text, pick_together

#: Set where a part of the page changed what other parts show.
_CHANGED = "side-by-side-changed"
#: Pixels of a row of the table of figures, and of all of it at most.
_ROW, _HIGHEST = 35, 720
_MEANING = "what it is"
_BETTER = {"higher": " ↑", "lower": " ↓", "": ""}


@dataclass(frozen=True)
class _Shown:
    """A run side by side with others.

    Attributes:
        job: of the run.
        title: of the run, no two alike.
        colour: of the run in curves.
        names: of its experts, with the same number for the same expert in all runs.
        colours: of its experts, likewise.
    """

    job: Job
    title: str
    colour: str
    names: list[str]
    colours: list[str]

    @property
    def result(self) -> Result | None:
        """What there is to show of it; None while it is at work."""
        return self.job.run.result if self.job.finished else None

    @property
    def curves(self) -> compared.RunCurves:
        """Its curves."""
        run = self.job.run
        curves = run.trace.curves(most=FIGURE_POINTS)
        return compared.RunCurves(self.title, curves, self.names, self.colours, self.colour, run.recipe.group)


def draw_comparison(jobs: list[Job]) -> None:
    """All of it."""
    left_out = st.session_state.get("left-out", 0)
    if left_out:
        st.info(f"Of {len(jobs) + left_out} runs the first {len(jobs)} are shown: no more have room side by side.")
    _side_by_side()
    with st.container(border=True, key="beside"):
        draw_other_operator(jobs[0], "Add another operator")
        draw_add_run(jobs[0])


@part
def _side_by_side() -> None:
    # A click on a button in here draws only this part again; what stands around it follows.
    if st.session_state.pop(_CHANGED, False):
        st.rerun()
    jobs = session.shown_jobs()
    if len(jobs) < 2:
        return
    with guarded("the difference"):
        st.markdown(f"**{plain(in_one_line([job.recipe for job in jobs]))}**")
    shown = _shown(jobs)
    ended = [one for one in shown if one.result is not None]
    picked = 0
    if ended:
        with st.container(horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute", gap="small"):
            picked = pick_together(max(one.result.log_density.shape[1] for one in ended if one.result is not None))
            if len(ended) > 1:
                _save(ended)
    _cells(shown, picked)
    with guarded("the curves"):
        _curves([one for one in ended if len(one.job.run.trace)])
    with guarded("the figures"):
        _figures(ended)


def run_titles(jobs: Sequence[Job]) -> list[str]:
    """What runs are called side by side: as the tab calls them, or by what differs; no two alike."""
    usual = titles_of([job.recipe for job in jobs])
    return distinct([titles.given_title(job.id) or title for job, title in zip(jobs, usual, strict=True)])


def _shown(jobs: Sequence[Job]) -> list[_Shown]:
    known: dict[str, int] = {}
    found = []
    for job, title, colour in zip(jobs, run_titles(jobs), run_colours(len(jobs)), strict=True):
        keys: list[str] = []
        for expert in job.recipe.experts:
            key = json.dumps([job.recipe.domain, expert.model_dump(mode="json", exclude={"revision"})])
            while key in keys:  # the same one twice
                key += "+"
            keys.append(key)
            known.setdefault(key, len(known))
        names = [f"{known[key] + 1} {name}" for key, name in zip(keys, job.run.titles, strict=True)]
        colours = expert_colours(max(known.values()) + 1)
        found.append(_Shown(job, title, colour, names, [colours[known[key]] for key in keys]))
    return found


def _dot(colour: str, sign: str = "●") -> str:
    return f':color[{sign}]{{foreground="{colour}"}}'


def _wide(count: int) -> int:
    """How many runs stand in a row."""
    return 2 if count in (2, 4) else 3


def _cells(shown: Sequence[_Shown], picked: int) -> None:
    """The samples of all runs, with the same pick and on the same axes."""
    reach: dict[str, float] = {}
    for one in shown:
        domain = one.job.recipe.domain
        if one.result is not None:
            reach[domain] = max(reach.get(domain, 0.0), view_of(domain).reach(one.job))
    count = len(shown)
    wide = _wide(count)
    for start in range(0, count, wide):
        columns = st.columns(wide, gap="medium")
        for place, column in zip(range(start, min(start + wide, count)), columns, strict=False):
            one = shown[place]
            with column, guarded("a run of the comparison"):
                _head(one, first=place == 0, last=place == count - 1)
                look = Beside(picked, one.names, one.colours, reach.get(one.job.recipe.domain, 0.0), wide > 2)
                _cell(one, look)


def _head(one: _Shown, first: bool, last: bool) -> None:
    """The title of a run, and what can be done with it here."""
    job_id = one.job.id
    with st.container(horizontal=True, vertical_alignment="center", gap="xxsmall", key=f"head-{job_id}"):
        st.markdown(f"##### {_dot(one.colour, '■')} {plain(one.title)}", width="stretch")
        with st.popover(":material/edit:", key=f"rename-{job_id}", type="tertiary", help="Give this run a title"):
            st.text_input(
                "Title of this run",
                value=titles.given_title(job_id),
                max_chars=titles.LONGEST,
                placeholder=one.title,
                key=f"title-{job_id}",
                on_change=callback(partial(_rename, job_id)),
                help="Left empty: what differs from the other runs",
            )
        _button(f"left-{job_id}", ":material/arrow_back:", "Move left", partial(session.move, job_id, -1), first)
        _button(f"right-{job_id}", ":material/arrow_forward:", "Move right", partial(session.move, job_id, 1), last)
        _button(f"close-{job_id}", ":material/close:", "Take this run away from here", partial(session.remove, job_id))


def _button(key: str, icon: str, help: str, act: Callable[[], None], disabled: bool = False) -> None:
    def changed() -> None:
        act()
        st.session_state[_CHANGED] = True

    st.button(icon, key=key, type="tertiary", on_click=callback(changed), disabled=disabled, help=help)


def _rename(job_id: str) -> None:
    titles.give_title(job_id, st.session_state[f"title-{job_id}"])
    st.session_state[_CHANGED] = True


def _cell(one: _Shown, look: Beside) -> None:
    """Samples of a run, or how far it is."""
    job, run, result = one.job, one.job.run, one.result
    if not job.finished:
        draw_small_progress(job)
        return
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", gap="small"):
        made, asked = max(len(run.trace) - 1, 0), run.recipe.levels.steps
        steps = f"{asked} steps" if run.state == "done" else f"{STATES[run.state]}: {made} of {asked} steps"
        st.caption(f"{steps} in {seconds_text(run.seconds)} · {run.recipe.batch} samples", width="content")
        draw_downloads(job)
    st.markdown(
        "   ".join(f"{_dot(colour)} {plain(name)}" for name, colour in zip(one.names, one.colours, strict=True))
    )
    if run.state == "failed":
        show_sentence(run.message)
    if result is None:
        return
    view = view_of(job.recipe.domain)
    view.draw_beside(job, result, look)
    count = result.log_density.shape[1]
    if look.picked < count:
        st.caption(one_sample_text(result, look.picked, [_dot(colour) for colour in one.colours]))
    else:
        st.caption(f"This run has {count} samples, none of number {look.picked}.")
    if result.importance is not None:
        st.caption(view.small_note)
    if run.state == "cancelled":
        st.caption(f"Cancelled at level s = {result.level:.3g}: {view.cancelled_note}.")


def _curves(shown: Sequence[_Shown]) -> None:
    """Every quantity on shared axes."""
    if not shown:
        return
    st.markdown("#### Curves")
    theme, runs = theme_name(), [one.curves for one in shown]
    alike = all(one.names == shown[0].names for one in shown)
    several: list[Quantity] = ["difference", "weights"]
    quantities: list[Quantity] = ["value", *(several if max(len(one.names) for one in shown) > 1 else [])]
    how = "one colour a run, one dash an expert" if alike else "all runs on the same axes, one colour an expert"
    if not alike:
        for quantity in quantities:
            st.markdown(f"**{TITLES[quantity]}**", help=MEANINGS[quantity].markdown)
            with st.grid(columns=_wide(len(runs)), min_column_width=250, gap="small"):
                for one, figure in zip(shown, compared.apart(runs, quantity), strict=True):
                    with st.container(gap="xxsmall"):
                        st.markdown(f"{_dot(one.colour, '■')} {plain(one.title)}")
                        alt = f"{TITLES[quantity]} of {one.title} against the level, on the same axes as the others"
                        _chart(figure, f"{quantity}-{one.job.id}", alt)
    with st.grid(columns=2, min_column_width=330, gap="small"):
        for quantity in quantities if alike else []:
            with st.container(gap="xxsmall"):
                st.markdown(f"**{TITLES[quantity]}**", help=MEANINGS[quantity].markdown)
                alt = f"{TITLES[quantity]} of {len(runs)} runs against the level: {how}"
                _chart(compared.together(runs, quantity, theme), quantity, alt)
        if any(run.corrected for run in runs):
            with st.container(gap="xxsmall"):
                st.markdown(f"**{EFFECTIVE_TITLE}**", help=MEANINGS["effective"].markdown)
                alt = "Effective sample size of the corrected runs in per cent of a group against the level"
                _chart(compared.effective(runs), "effective", alt)
    weighted = ", weighted where particles are" if any(run.corrected for run in runs) else ""
    st.caption(f"Means over the samples{weighted}: {how}.")


def _chart(figure: go.Figure, key: str, alt: str) -> None:
    draw_plotly(figure, key=f"side-by-side-{key}", config=finished.config(), alt=alt)


def _comparison(shown: Sequence[_Shown]) -> Comparison:
    jobs = {one.job.id: one.job for one in shown}

    def measure(run: Run) -> Sequence[Figure]:
        return figures_of(jobs[run.id])

    return Comparison([one.job.run for one in shown], [one.title for one in shown], measure)


def _figures(shown: Sequence[_Shown]) -> None:
    """The figures of all runs in one table."""
    if len(shown) < 2:
        return
    st.markdown("#### Figures")
    mixed = len({one.job.recipe.domain for one in shown}) > 1
    with st.container(horizontal=True, gap="medium"):
        common = st.toggle(
            "Only what all have", value=mixed, key=f"common-{mixed}", help="Leave out figures that some runs have not"
        )
        less = st.toggle(
            "Differences to the first run",
            key="less-the-first",
            help="Every value less the first run's. Errors are those of independent runs: too large where both began "
            "from the same noise",
        )
    rows = [row for row in _comparison(shown).rows if not common or None not in row.figures]
    if not rows:
        st.caption("These runs have no figure in common; switch this off to see what each has.")
        return
    st.dataframe(
        figures_table(rows, [one.title for one in shown], less),
        hide_index=True,
        height=min(_ROW * (len(rows) + 1) + 3, _HIGHEST),
        # Not pinned: on a phone it would hide all others.
        column_config={
            "figure": st.column_config.TextColumn(width=270),
            "unit": st.column_config.TextColumn(width=70),
            _MEANING: st.column_config.TextColumn(width=640),
        },
        alt="Figures of the runs with their standard errors, a column a run",
    )
    st.caption(
        "Values with their standard errors; ↑ higher is better, ↓ lower is better. Log-densities compare only at the "
        "same level s."
    )


def figures_table(rows: Sequence[FigureRow], names: Sequence[str], less: bool = False) -> pd.DataFrame:
    """A row a figure and a column a run, as text; – where a run has none.

    Args:
        rows: of the figures.
        names: of the runs.
        less: whether all but the first run's are differences to it.
    """
    heads = [name if place == 0 or not less else f"{name} − first" for place, name in enumerate(names)]
    heads = distinct(["figure", "unit", _MEANING, *heads])[3:]
    table: dict[str, list[str]] = {"figure": [], "unit": [], **{head: [] for head in heads}, _MEANING: []}
    for row in rows:
        table["figure"].append(f"{row.title}{_BETTER[row.better]}")
        one = next(figure for figure in row.figures if figure is not None)
        table["unit"].append(one.shown_unit)
        table[_MEANING].append(one.meaning)
        for head, figure in zip(heads, (row.less_the_first() if less else row).figures, strict=True):
            table[head].append("–" if figure is None else figure.text())
    return pd.DataFrame(table)


def _save(shown: Sequence[_Shown]) -> None:
    """Files of the whole comparison."""
    with st.popover("Save the comparison", icon=":material/download:", key="save-comparison"):
        found = _comparison(shown)

        def slide() -> bytes:
            from superdiff_engine.figures.comparison import comparison_png  # it takes a second

            return comparison_png(found)

        draw_download(shown[0].job, Download("For a slide (PNG)", "comparison.png", "image/png", slide))
        csv = Download("Figures (CSV)", "comparison.csv", "text/csv", lambda: found.csv().encode())
        draw_download(shown[0].job, csv)
