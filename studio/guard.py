"""Nothing that goes wrong shows a traceback: what the user can act on is one sentence, the rest goes to the log."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from superdiff_engine.errors import SuperDiffError

log = logging.getLogger("superdiff.studio")


@contextmanager
def guarded(what: str) -> Iterator[None]:
    """Show an error inside this block as one sentence and go on after it; `what` names the block."""
    try:
        yield
    except SuperDiffError as error:
        show_sentence(str(error))
    except Exception:
        log.exception("unexpected error in %s", what)
        show_sentence(f"Something unexpected went wrong in {what}; the studio's log in the terminal holds the details.")


def show_sentence(sentence: str) -> None:
    """An error message; whatever it quotes is shown as typed, never as Markdown."""
    st.error(plain(sentence), icon=":material/error:")


def plain(text: str) -> str:
    """`text` with everything escaped that Markdown would act on, on one line."""
    return re.sub(r"([\\`*_{}\[\]()<>#+\-!|~$:^=])", r"\\\1", " ".join(text.split()))
