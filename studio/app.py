"""The studio's pages. Start it with `superdiff studio`, or `make studio` from the repository."""

from pathlib import Path

import streamlit as st

static = Path(__file__).parent / "static"
# An icon by its name would be fetched from the network; a file is not.
st.set_page_config(page_title="SuperDiff Studio", page_icon=str(static / "icon.png"), layout="wide")
st.logo(str(static / ("logo_dark.svg" if st.context.theme.type == "dark" else "logo_light.svg")), size="large")

# The first page of a server waits for PyTorch: seconds, or half a minute from a slow disk.
with st.spinner("Loading PyTorch, once"):
    from studio.navigation import draw_studio

draw_studio()
