"""Compose: choose experts and an operator on the left, watch and keep the result on the right."""

import streamlit as st

from studio import session
from studio.form.page import draw_form
from studio.guard import guarded
from studio.stage.stage import draw_run_button, draw_stage, warm_up

with guarded("the page"):
    before = session.at_work()
    session.run_presses()
    session.follow_queue()
    # Two panes, and which is which, for the style.
    with st.container(key="panes"):
        form, stage = st.columns([1, 2.6], gap="medium")
        with form, st.container(key="form-pane"), guarded("the form"):
            draw_form()
            warm_up(st.session_state["f.domain"])
            draw_run_button()
        with stage, st.container(key="stage-pane"), guarded("the results"):
            draw_stage()
    # What ended meanwhile is drawn as at work in one place and as ended in another: a button that stays grey, say.
    if before - session.at_work():
        st.rerun()
