"""The check of a run's log-densities: its own samples, estimated afresh along independent noise."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pandas as pd
import streamlit as st

from superdiff_engine.figures.meanings import CHECK
from superdiff_engine.result import Result
from superdiff_engine.runs.density_check import Checking, DensityCheck, Fit
from superdiff_engine.runs.estimation import PATHS, STEPS

from ..charts import finished as figures
from ..charts.live import at_level
from ..charts.palette import NEUTRAL, expert_colours, theme_name
from ..charts.scale import draw_plotly
from ..guard import guarded, once, plain, show_sentence
from ..job import EstimationJob, Job
from ..part import told
from ..session import newest_check, registry, this_tab
from .chart_files import draw_agreement_files
from .given import difference
from .progress import draw_estimation_progress, seconds_text
from .sample import KEEP

#: Samples that the figure shows, the first ones.
_SHOWN = 1024


def draw_check(job: Job, result: Result, names: list[str]) -> None:
    """The button, the progress, and what the check found."""
    asked = newest_check(job)
    busy = asked is not None and not asked.finished
    with st.container(border=True, key="density-check"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.button(
                "Check these log-densities",
                icon=":material/fact_check:",
                **once(f"check-densities-{job.id}", _start),
                args=(job.id,),
                disabled=busy,
                help=f"Estimates log q of these very samples afresh, at the level where they stand, along {PATHS} "
                "paths of noise that the run has not seen, and says how far off the run's own are. Runs go first.",
            )
            if asked is None:
                st.caption(f"How wrong are they? {_cost(result)}", width="stretch")
        if asked is None:
            return
        if busy:
            draw_estimation_progress(asked.id)
        elif asked.run.state == "failed":
            show_sentence(asked.run.message)
        elif asked.run.state == "cancelled":
            st.caption("The check was cancelled.")
        else:
            with guarded("the check"):
                _draw(job, asked, names)


def _cost(result: Result) -> str:
    """About how long a check takes, by the pace of the run; empty where that is not known."""
    if not result.index:
        return ""
    return f"It takes about {seconds_text(result.seconds / result.index * PATHS * STEPS)}."


def _start(job_id: str) -> None:
    result = registry().recall(job_id).run.result
    if result is None:  # its record was taken away since
        return
    registry().submit_estimation(Checking(result), this_tab(), job_id)


def _draw(job: Job, asked: EstimationJob, names: list[str]) -> None:
    check = asked.run.check if isinstance(asked.run, Checking) else None
    if check is None:
        return
    st.markdown(f"**{plain(' '.join(check.sentences))}**", help=CHECK.markdown)
    left, right = st.columns([1.15, 1], gap="medium")
    with left:
        _table(check, names)
    with right:
        _figure(job, check, names)
    _each_sample(asked, check, names)


def _table(check: DensityCheck, names: list[str]) -> None:
    fits = [*check.experts, *check.differences]
    column = st.column_config
    st.dataframe(
        pd.DataFrame(
            {
                "log q of": [_name(fit, names) for fit in fits],
                "bias, nats": [_bias(fit) for fit in fits],
                "spread, nats": [fit.spread for fit in fits],
                "rank corr.": [fit.rank_correlation for fit in fits],
                "fresh noise, nats": [fit.noise for fit in fits],
                "samples": [check.samples] * len(fits),
            }
        ),
        hide_index=True,
        column_config={
            "bias, nats": column.TextColumn(
                help="Mean of the run's less the fresh log q, ± its standard error: wrong with all samples alike"
            ),
            "spread, nats": column.NumberColumn(
                format="%.2f",
                help="Standard deviation of the same over the samples, less the fresh estimate's own noise: wrong with "
                "one sample but not with the next",
            ),
            "rank corr.": column.NumberColumn(
                format="%.2f",
                help="Spearman's rank correlation of the run's and the fresh log q: 1 where both order the samples "
                "alike. Low, too, where the samples differ by less than the noise",
            ),
            "fresh noise, nats": column.NumberColumn(
                format="%.2f", help=f"Standard error of the fresh log q of one sample, over {check.paths} paths"
            ),
        },
        alt="Bias, spread and rank correlation of the run's log-densities against fresh ones",
    )
    st.caption(f"At level s = {check.level:.3g}: the run's log q less that along {check.paths} paths of fresh noise.")


def _bias(fit: Fit) -> str:
    digits = 1 if abs(fit.bias) >= 10 else 2
    error = "" if math.isnan(fit.bias_error) else f" ± {fit.bias_error:.{digits}f}"
    return f"{fit.bias:.{digits}f}{error}".replace("-", "−")


def _name(fit: Fit, names: list[str]) -> str:
    return names[fit.experts[0]] if len(fit.experts) == 1 else " − ".join(str(expert + 1) for expert in fit.experts)


def _figure(job: Job, check: DensityCheck, names: list[str]) -> None:
    """Tracked against fresh, of each expert or of the differences."""
    single, pairs = "log q", "differences"
    shown = single
    if check.differences:
        shown = st.segmented_control(
            "Draw",
            [single, pairs],
            default=pairs,
            required=True,
            key=told("check-of"),
            persist_state=KEEP,
            label_visibility="collapsed",
        )
    colours, symbols = expert_colours(len(names)), None
    tracked, fresh, quantity = check.tracked[:, :_SHOWN], check.fresh[:, :_SHOWN], "log q"
    if shown == pairs:
        which = list(combinations(range(len(names)), 2))
        tracked, fresh = (np.stack([values[i] - values[j] for i, j in which]) for values in (tracked, fresh))
        quantity = "log qᵢ − log qⱼ" if len(which) > 1 else "log q₁ − log q₂"
        names = [f"{i + 1} − {j + 1}" for i, j in which]
        # One pair is nobody's; of several, the colour is the first's and the shape the second's.
        colours, symbols = [colours[i] for i, _ in which], [figures.SYMBOLS[j] for _, j in which]
        colours = colours if len(which) > 1 else [NEUTRAL[theme_name()]]
    axes = (f"{quantity} of the run, nats", f"{quantity} afresh, nats")
    figure = figures.agreement_figure(
        tracked, fresh, names, colours, theme_name(), height=300, axes=axes, symbols=symbols
    )
    figure.update_layout(showlegend=len(names) > 1)
    draw_plotly(
        figure,
        key=f"check-{job.id}",
        config=figures.config(),
        alt=f"{quantity} of the run against the fresh estimate, a point a sample; on the diagonal they agree",
    )
    note = f"At level s = {check.level:.3g}; afresh: mean of {check.paths} paths of noise that the run has not seen"
    title = "Log-densities of the run against fresh ones"
    draw_agreement_files(job, "check", title, (tracked, fresh), names, colours, axes, symbols, note)


def _each_sample(asked: EstimationJob, check: DensityCheck, names: list[str]) -> None:
    """The fresh estimates of every sample, with their errors."""
    found = asked.run.result
    if found is None:
        return
    with st.expander("Each sample", key=f"check-samples-{asked.id}"):
        columns: dict[str, np.ndarray] = {"sample": np.arange(found.mean.shape[1])}
        for place, name in enumerate(names):
            columns[f"{at_level(check.level, name)}, afresh"] = found.mean[place].numpy()
            columns[f"± of {name}"] = found.error[place].numpy()
        if len(names) > 1:
            columns["log q₁ − log q₂ afresh"], columns["± of the difference"] = difference(found)
        st.dataframe(
            pd.DataFrame(columns),
            hide_index=True,
            column_config=dict.fromkeys(list(columns)[1:], st.column_config.NumberColumn(format="%.2f")),
            alt="Log-densities of all samples estimated afresh, at the level where they stand",
        )
        st.caption(
            f"± is the standard error over {check.paths} paths; twice as much holds the value in six of seven cases."
        )
