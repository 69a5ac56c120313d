"""A page with the studio's 3D viewer alone: a scene that is sent again several times a second, and one to play."""

import numpy as np
import streamlit as st

from studio.charts.viewer import atoms_frame, draw_viewer

ELEMENTS = ["C", "C", "O", *"HHHHHH"]
PLACES = np.array(
    [
        [0, 0, 0], [1.5, 0, 0], [2.1, 1.3, 0], [-0.4, 1, 0], [-0.4, -0.5, 0.9], [-0.4, -0.5, -0.9], [1.9, -0.5, 0.9],
        [1.9, -0.5, -0.9], [3.1, 1.2, 0],
    ]
)  # fmt: skip
BONDS = [(0, 1, 1), (1, 2, 1), (0, 3, 1), (0, 4, 1), (0, 5, 1), (1, 6, 1), (1, 7, 1), (2, 8, 1)]


@st.fragment(run_every=0.3)
def live():
    st.session_state["ticks"] = st.session_state.get("ticks", 0) + 1
    draw_viewer([atoms_frame(ELEMENTS, PLACES, BONDS)], "live", "ethanol", "Ethanol, live")
    st.caption(f"tick number {st.session_state['ticks']}")


live()
# What a file may bring: nothing of it may become markup.
hostile = ["C", "</script><script>window.hit = 1</script>", "<img src=x onerror='window.hit = 1'>", *"HHHHHH"]
moments = [atoms_frame(hostile, PLACES + 0.05 * (9 - moment), BONDS) for moment in range(10)]
labels = [f"<b>moment</b> {moment}" for moment in range(10)]
draw_viewer(moments, "played", "played", "<i>Ethanol</i>", labels=labels)
