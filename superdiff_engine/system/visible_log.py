"""The log of this package on its way to a terminal."""

from __future__ import annotations

import logging
import sys

from .visible_text import visible

_LOGGER = "superdiff"


class _VisibleLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record))


def log_visibly() -> None:
    """Let the log of this package go to the terminal (standard error) as `visible` writes it; once a process."""
    log = logging.getLogger(_LOGGER)
    if not any(isinstance(handler.formatter, _VisibleLines) for handler in log.handlers):
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(_VisibleLines("%(message)s"))
        log.addHandler(handler)
