"""What reaches a terminal: text of users, files and models as it was typed, and nothing that a terminal would obey."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.text import Text
from typer.core import TyperGroup

from .visible_text import visible


class Terminal(Console):
    """A console on which texts are texts: no markup, no emoji by name, no control characters."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(markup=False, emoji=False, **settings)

    def render_str(self, text: str, **settings: Any) -> Text:
        """As rich's; cells of tables and what is printed come through here."""
        return super().render_str(visible(text), **(settings | {"markup": False, "emoji": False}))


class VisibleGroup(TyperGroup):
    """Commands whose complaints about what was typed can be printed."""

    def make_context(self, *args: Any, **settings: Any) -> Any:
        """As typer's."""
        with _visible_errors():
            return super().make_context(*args, **settings)

    def invoke(self, ctx: Any) -> Any:
        """As typer's."""
        with _visible_errors():
            return super().invoke(ctx)


@contextmanager
def _visible_errors() -> Iterator[None]:
    """Errors that carry a message for the terminal leave this block with one that can be printed."""
    try:
        yield
    except Exception as error:
        if hasattr(error, "format_message") and isinstance(getattr(error, "message", None), str):
            error.message = visible(error.message)  # type: ignore[attr-defined]
        raise
