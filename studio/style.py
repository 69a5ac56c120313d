"""What Streamlit's layout leaves open: the page's width, rows without scroll bars, a Run button always in sight."""

from __future__ import annotations

import streamlit as st

from .charts.palette import theme_name

_STYLE = """
[data-testid="stMainBlockContainer"] { padding-inline: clamp(1rem, 3vw, 5rem); }
/* All domains on one line, in a column that is a quarter of a small screen. */
.st-key-f-domain button { padding-inline: 0.42rem; }
/* Rows that do not wrap would otherwise be boxes that scroll by a few pixels. */
[class*="st-key-expert-"], .st-key-seed-row { overflow: visible; }
/* The button for a full screen would lie over the formula's field. */
.st-key-formula-tree [data-testid="stElementToolbar"] { display: none; }
/* At the foot of the screen above the form's end, at its top below it. */
[data-testid="stLayoutWrapper"]:has(> .st-key-run-bar) {
  position: sticky; bottom: 0; top: 3.75rem; z-index: 90; background: BACKGROUND;
}
.st-key-run-bar { padding-block: 0.5rem; max-height: 50vh; overflow: visible; }
"""


def draw_style() -> None:
    """Put the style on the page; it takes no space."""
    background = st.get_option(f"theme.{theme_name()}.backgroundColor") or "Canvas"
    st.html(f"<style>{_STYLE.replace('BACKGROUND', background)}</style>")
