"""A mixture of the user's own: the table of its modes in the form, and what a recipe says of it."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import streamlit as st

from superdiff_engine.recipes.bounds import bounds_of
from superdiff_engine.recipes.document import Mixture

#: What a new mixture starts as, and what an empty cell of it stands for.
_NEW = {"x": [-1.5, 1.5], "y": [0.0, 0.0], "variance": [0.16, 0.16], "mass": [1.0, 1.0]}
_EMPTY = {"x": 0.0, "y": 0.0, "variance": 0.16, "mass": 1.0}
#: The fields of a mixture that the table's columns stand for.
_FIELDS = {"x": "means", "y": "means", "variance": "variances", "mass": "masses"}


def table_of(mixture: Mixture) -> pd.DataFrame:
    """The modes of a mixture, a row each."""
    return pd.DataFrame(
        {
            "x": [float(mean[0]) for mean in mixture.means],
            "y": [float(mean[1]) for mean in mixture.means],
            "variance": [float(value) for value in mixture.variances],
            "mass": [float(value) for value in mixture.masses or [1.0] * len(mixture.means)],
        }
    )


def mixture_of(table: pd.DataFrame | None) -> dict[str, Any]:
    """The mixture that a table says, as a recipe's dictionary; of no table, a new one."""
    modes = (pd.DataFrame(_NEW) if table is None else table).dropna(how="all")
    # A cell may be empty while a row is being typed.
    modes = modes.fillna(_EMPTY)
    return {
        "means": modes[["x", "y"]].astype(float).values.tolist(),
        "variances": modes["variance"].astype(float).tolist(),
        "masses": modes["mass"].astype(float).tolist(),
    }


def draw_modes(position: int, slot: int) -> None:
    """An editable table of modes. The editor's changes are relative to the table it began with, so that one is kept."""
    session = st.session_state
    editor = f"editor.{slot}"
    current = session.get(f"modes.{slot}")
    if current is None:
        current = pd.DataFrame(_NEW)
    if editor not in session or f"modes-begun.{slot}" not in session:
        session[f"modes-begun.{slot}"] = current.reset_index(drop=True)
    session[f"modes.{slot}"] = st.data_editor(
        session[f"modes-begun.{slot}"],
        key=editor,
        num_rows="dynamic",
        hide_index=True,
        alt=f"Modes of expert {position + 1}: place, variance and mass",
        column_config={name: _column(name, field) for name, field in _FIELDS.items()},
    )


def _column(name: str, field: str) -> Any:  # Streamlit does not export the type of its columns
    least, most = bounds_of(Mixture, field)
    return st.column_config.NumberColumn(
        name,
        # A mass is more than nothing, however little.
        min_value=least or math.ulp(0.0),
        max_value=most,
        default=_EMPTY[name],
        format="plain",  # all digits are shown, and there are no steps
        help="Relative to the others" if name == "mass" else None,
    )
