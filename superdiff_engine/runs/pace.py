"""How long work will take that has not begun, by what work of its kind took on the same device.

Two recipes are of a kind if they ask for the same computing a step: the same models, number of samples, solver,
estimator and precision. Their numbers of steps, seeds, prompts and the numbers of their operators may differ.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from typing import Any

from ..recipes.document import Recipe


@dataclass(frozen=True)
class Pace:
    """Seconds before the first step (models are loaded), and seconds a step."""

    before: float
    step: float


class Paces:
    """What work took, by device and kind; safe to use from any thread. Of each kind the last one counts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str, str], Pace] = {}

    def note(self, device: str, recipe: Recipe, steps: int, seconds: float, whole: float, work: str = "") -> None:
        """Remember what a piece of work took.

        Args:
            device: on which.
            recipe: of it.
            steps: that it made, those of all runs of a grid together; none are no pace.
            seconds: from its first step to its end.
            whole: seconds that it took in all.
            work: what it was, where it was no run.
        """
        if steps > 0 and seconds > 0:
            pace = Pace(max(whole - seconds, 0.0), seconds / steps)
            with self._lock:
                self._known[device, work, _kind(recipe)] = pace

    def foretell(self, device: str, recipe: Recipe, steps: int, work: str = "") -> float | None:
        """About how many seconds such a piece of work takes; None where nothing of its kind has ended there."""
        with self._lock:
            pace = self._known.get((device, work, _kind(recipe)))
        return None if pace is None else pace.before + pace.step * steps


def _kind(recipe: Recipe) -> str:
    document: dict[str, Any] = recipe.model_dump(mode="json", exclude={"seed", "levels", "device"})
    document["experts"] = [expert["model"] for expert in document["experts"]]
    document["operator"] = document["operator"]["name"]
    document["guidance"] = document["guidance"] is not None
    return json.dumps(document, sort_keys=True)
