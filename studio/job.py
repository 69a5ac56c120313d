"""What a server runs: runs, grids and estimations, each with the device it waits for and the tab that asked for it.

A job belongs to the server, not to a browser tab; `jobs.Jobs` has them all.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import torch

from superdiff_engine.domains import get_domain
from superdiff_engine.library.labels import read_labels, write_labels
from superdiff_engine.recipes.document import Recipe
from superdiff_engine.runs.estimation import Estimation
from superdiff_engine.runs.grid import Sweep
from superdiff_engine.runs.run import Run
from superdiff_engine.runs.waiting import Kind
from superdiff_engine.runs.work import State
from superdiff_engine.system.threads import take_all_cores

#: In the place of a device: the cluster that is offered.
CLUSTER = "cluster"

Work = TypeVar("Work", Run, Sweep, Estimation)


@dataclass(eq=False)
class Tab:
    """A browser tab. It lies in the session's state, and what it shows may be forgotten once that is gone."""

    key: str = field(default_factory=lambda: secrets.token_hex(8))
    shown: tuple[str, ...] = ()


@dataclass
class _Queued(Generic[Work]):
    """Work with the device it waits for, the key of the tab that asked for it, and when that was."""

    run: Work
    device: str
    tab: str = field(default="", kw_only=True)
    asked: float = field(default_factory=time.monotonic, kw_only=True)
    #: What is kept of it on disk until it has ended; None where nothing is.
    document: dict[str, Any] | None = field(default=None, kw_only=True)

    @property
    def id(self) -> str:
        """The run's id, by which pages and links name the job."""
        return self.run.id

    @property
    def recipe(self) -> Recipe:
        """What was asked for."""
        return self.run.recipe

    @property
    def lane(self) -> str:
        """The queue that it stands in, whose thread executes it."""
        return self.device

    @property
    def steps(self) -> int:
        """Of noise levels, that it takes in all."""
        return self.recipe.levels.steps + 1

    @property
    def shown_under(self) -> str:
        """The id of the run under which it can be looked at; "" where there is none."""
        return self.id

    @property
    def kind(self) -> Kind:
        """What kind of work it is."""
        return "run"

    @property
    def takes_all_cores(self) -> bool:
        """Whether all processors of this machine compute for it, once it is at work."""
        threads = get_domain(self.recipe.domain).threads or torch.get_num_threads()
        return self.device == "cpu" and take_all_cores(threads)

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen: done, cancelled or failed, and saved."""
        return self.run.finished.is_set()

    def end(self) -> None:
        """What is left to do once it was executed; raises SuperDiffError where that fails."""


@dataclass
class Job(_Queued[Run]):
    """A run with the device it waits for, and the tags that its record gets."""

    tags: tuple[str, ...] = ()

    @property
    def takes_all_cores(self) -> bool:
        """As every job's; not while it is paused or slowed."""
        return super().takes_all_cores and not self.run.tempo.watched

    def end(self) -> None:
        """Put its tags on its record, beside those that a user gave it meanwhile."""
        folder = self.run.folder
        if self.tags and folder is not None and folder.is_dir():
            write_labels(folder, read_labels(folder).changed(add=self.tags))


@dataclass
class GridJob(_Queued[Sweep]):
    """A grid with the device it waits for; `origin` is the id of the run that it was asked for under.

    One for the cluster that is offered waits for that, whatever this machine does: its device is `CLUSTER`.
    """

    origin: str

    @property
    def kind(self) -> Kind:
        """A grid."""
        return "grid"

    @property
    def steps(self) -> int:
        """Those of all cells."""
        return sum(recipe.levels.steps + 1 for recipe in self.run.recipes.values())

    @property
    def shown_under(self) -> str:
        """The run that it was asked for under."""
        return self.origin


@dataclass
class EstimationJob(_Queued[Estimation]):
    """An estimation of log-densities, with the device it waits for.

    `origin` is the id of the run whose samples they are, "" for samples of the user's own.
    """

    origin: str = ""

    @property
    def lane(self) -> str:
        """Beside the device's own, whose runs go first."""
        return f"{self.device}-estimations"

    @property
    def kind(self) -> Kind:
        """A check of a run's own log-densities, or an estimation for samples of a file."""
        return "check" if self.origin else "file"

    @property
    def steps(self) -> int:
        """Those of all paths."""
        return self.run.steps * self.run.paths

    @property
    def shown_under(self) -> str:
        """The run whose samples are estimated."""
        return self.origin


AnyJob = Job | GridJob | EstimationJob


@dataclass(frozen=True)
class Ended:
    """A job that has ended, in a few words: it may not be in memory any more.

    Attributes:
        id: of the job; `shown_under`: of the run under which it can be looked at.
        tab: the key of the tab that asked for it.
        recipe: of it; state: in which it ended; when: on the monotonic clock.
        kind: what it was.
    """

    id: str
    shown_under: str
    tab: str
    recipe: Recipe
    state: State
    when: float
    kind: Kind


@dataclass(frozen=True)
class Forecast:
    """When a job that waits will begin, and how long it will take or go on; in seconds, None where that is unknown."""

    begins: float | None
    takes: float | None

    @property
    def ends(self) -> float | None:
        """In how many seconds it will have ended."""
        return None if self.begins is None or self.takes is None else self.begins + self.takes
