"""The moments of a film: those that a run kept, or those that its recipe passes when it is walked again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..domains import get_domain
from ..errors import SuperDiffError
from ..recipes.document import Recipe
from ..runs.run import PREVIEWED_SAMPLES, Run
from ..system.devices import check_dtype, resolve_device
from ..trace import Frame
from ..walk import walk

__all__ = ["kept_moments", "walked_moments"]

Frames = list[Frame[Any]]


def kept_moments(run: Run, first: int | None = None, last: int | None = None) -> Frames:
    """The moments that a run kept from step `first` to step `last`, oldest first.

    Raises:
        SuperDiffError: where these are fewer than two; says which there are, and what to do.
    """
    frames = run.trace.frames
    found = [one for one in frames if (first is None or one.index >= first) and (last is None or one.index <= last)]
    if len(found) >= 2:
        return found
    again = 'have its recipe walked once more for the film (--again; in the studio "A moment at every step")'
    if len(frames) < 2:
        said = "no moments" if not frames else "one moment"
        raise SuperDiffError(f"This run kept {said} of its samples, which makes no film: {again}.")
    steps = ", ".join(str(frame.index) for frame in frames[:: max(1, len(frames) // 12)])
    raise SuperDiffError(
        f"A film needs two moments, and the run kept {len(found)} in this range of its steps (it kept {len(frames)}, "
        f"such as those at the steps {steps}): choose a longer range, or {again}."
    )


def walked_moments(
    recipe: Recipe,
    most: int,
    first: int | None,
    last: int | None,
    on_step: Callable[[float], None],
) -> Frames:
    """The moments of a recipe that is walked once more: on the same device those of the run.

    Args:
        recipe: of the run.
        most: moments at most, spread evenly over the steps of the range, its ends among them.
        first: step of the range; None: 0.
        last: likewise; None: the recipe's last.
        on_step: called after every step with the share that is done, 0 to 1; what it raises ends the work.

    Raises:
        SuperDiffError: where the range is no range of the recipe's steps, or a model is not there.
    """
    steps = recipe.levels.steps
    start, end = first or 0, steps if last is None else min(last, steps)
    if start >= end:
        raise SuperDiffError(f"The recipe has the steps 0 to {steps}; choose a range of at least two of them.")
    wanted = set(np.linspace(start, end, min(most, end - start + 1)).round().astype(int).tolist())
    domain, device = get_domain(recipe.domain), resolve_device(recipe.device)
    check_dtype(recipe.dtype, device)
    prepared = domain.prepare(recipe, device)
    frames: Frames = []
    for step in walk(recipe, domain, prepared, device):
        if step.index in wanted:
            frames.append(Frame(step.index, step.level, domain.preview(step, prepared.experts, PREVIEWED_SAMPLES)))
        on_step(min(step.index / end, 1.0))
        if step.index >= end:
            break
    return frames
