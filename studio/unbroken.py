"""What the page does in one piece, however soon the browser asks for the next drawing.

Streamlit 1.67 breaks off a drawing for the next one at every word to the browser and at every look at the session's
state, in callbacks as well. What had been taken down by then and was not done yet is lost: a press, half a form, all
that the address names.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from streamlit.runtime.scriptrunner import get_script_run_ctx


@contextmanager
def unbroken() -> Iterator[None]:
    """Let this block, or a function that it decorates, come to its end before the next drawing begins.

    What the browser asks for meanwhile is taken up afterwards. Nothing that takes long, or draws, belongs here.
    """
    context = get_script_run_ctx(suppress_warning=True)
    if context is None or context.script_requests is None:
        yield  # nobody draws
        return
    own = vars(context.script_requests)
    if _TAKEN_UP in own:
        yield  # within such a block
        return
    own[_TAKEN_UP] = lambda: None
    try:
        yield
    finally:
        del own[_TAKEN_UP]


#: What a drawing asks at each such place: whether another one is wanted.
_TAKEN_UP = "on_scriptrunner_yield"
