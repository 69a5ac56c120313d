"""A lesson done by nobody: its runs are made with the controls as they begin, and its claims held against them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from ..errors import StepError
from ..runs.run import Run
from .lesson import Finding, Findings, Lesson, Made

__all__ = ["Trial", "try_lesson"]


@dataclass(frozen=True)
class Trial:
    """What came of a lesson's runs.

    Attributes:
        seed: of all runs; None for their own.
        made: the runs by their names.
        findings: the lesson's claims, in their order.
        explanation: its Markdown with all figures, without pictures.
        seconds: of all runs together.
    """

    seed: int | None
    made: dict[str, Made]
    findings: list[Finding]
    explanation: str
    seconds: float

    @property
    def holds(self) -> bool:
        """Whether all claims hold."""
        return all(finding.holds for finding in self.findings)


def try_lesson(lesson: Lesson, seed: int | None = None, begun: Callable[[Run], None] | None = None) -> Trial:
    """Make the runs of a lesson, in memory, and see what its claims say of them.

    Args:
        lesson: whose controls are as they begin.
        seed: for all runs; None for their own.
        begun: is told every run before it begins, so that it can be cancelled.

    Raises:
        SuperDiffError: where a run cannot be made; one that stops at a step, as exploding weights do, is measured.
    """
    made: dict[str, Made] = {}
    seconds = 0.0
    for name, recipe in lesson.recipes({}, {}, seed).items():
        run = Run(recipe, previews=False)
        if begun is not None:
            begun(run)
        with suppress(StepError):  # the run is kept up to there, and the lesson may be about it
            run.execute()
        made[name] = Made(run.recipe, run.result)
        seconds += run.seconds
    findings = Findings(made)
    explanation = "\n\n".join(findings.fill(part) for part in lesson.explain if isinstance(part, str))
    return Trial(seed, made, findings.of(lesson), explanation, seconds)
