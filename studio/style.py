"""What Streamlit's layout leaves open: static/style.css, in the colours of the theme that the browser shows."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import streamlit as st

from .charts.palette import theme_name

#: What the style calls colours of the theme.
_COLOURS = {
    "--studio-background": "backgroundColor",
    "--studio-raised": "secondaryBackgroundColor",
    "--studio-text": "textColor",
    "--studio-border": "borderColor",
    "--studio-primary": "primaryColor",
}


#: What is read on the primary colour; Streamlit writes white on whatever it is.
_ON_PRIMARY = {"light": "#ffffff", "dark": "#0b151b"}


@cache
def _style() -> str:
    return (Path(__file__).parent / "static" / "style.css").read_text(encoding="utf-8")


def draw_style() -> None:
    """Put the style on the page; it takes no space."""
    theme = f"theme.{theme_name()}"
    colours = "; ".join(
        f"{name}: {st.get_option(f'{theme}.{option}') or 'Canvas'}" for name, option in _COLOURS.items()
    )
    colours += f"; --studio-on-primary: {_ON_PRIMARY[theme_name()]}"
    st.html(f"<style>:root {{ {colours} }}\n{_style()}</style>")
