"""The lineage of a corrected run's final samples: from which particles they came, at every resampling on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..trace import Resampling

#: Final samples that are drawn; of more, so many evenly in the order of the tree.
MOST_ROWS = 128
#: Rows up to which each has its number at the side.
MOST_NUMBERS = 40
#: Of neighbouring ancestors, in turn; none of the experts' colours.
SHADES = {
    "light": ["#7a4fbf", "#2a8f83", "#9c5a2e", "#4a6fa5", "#a23b72", "#6b7f1f"],
    "dark": ["#b79bf0", "#6fcfc2", "#d9a077", "#93b4e6", "#e48fbb", "#b9cc6a"],
}


@dataclass(frozen=True, eq=False)
class Lineage:
    """Where the ancestors of some final samples stood, k resamplings parting the run into k + 1 stretches.

    Attributes:
        samples: the final samples, in an order in which no two lines of descent cross, int [n].
        places: their ancestors' places in each stretch, the last of which are the samples themselves, int [k + 1, n].
        steps: of the resamplings, int [k].
        total: samples of the run.
        founders: distinct ancestors of all samples where the run began.
        parents: the same just before the last resampling.
    """

    samples: np.ndarray
    places: np.ndarray
    steps: np.ndarray
    total: int
    founders: int
    parents: int

    @property
    def families(self) -> np.ndarray:
        """For each of the samples the number of its ancestor where the run began among those, int [n]."""
        return np.asarray(np.unique(self.places[0], return_inverse=True)[1])

    def lines(self, steps: int) -> list[list[np.ndarray]]:
        """Lines of descent over the steps, which merge backwards.

        Args:
            steps: of the run.

        Returns:
            For each family in its turn its lines, each [3 or 4, 2]: (step, row of the samples), and a gap of NaN.
        """
        rows = np.arange(len(self.samples), dtype=float)
        bounds = np.concatenate([[0], self.steps, [steps]]).astype(float)
        families, heights = self.families, []
        drawn: list[list[np.ndarray]] = [[] for _ in range(int(families.max(initial=-1)) + 1)]
        for stretch, places in enumerate(self.places):
            # A line stands in the middle of the samples that come of it.
            _, first, which, sizes = np.unique(places, return_index=True, return_inverse=True, return_counts=True)
            height = (np.bincount(which, rows) / sizes)[which]
            heights.append(height)
            for row in first:
                path = [(bounds[stretch], height[row]), (bounds[stretch + 1], height[row]), (np.nan, np.nan)]
                if stretch:
                    path.insert(0, (bounds[stretch], heights[stretch - 1][row]))
                drawn[families[row]].append(np.array(path))
        return drawn


def lineage_of(resamplings: Sequence[Resampling], batch: int, most: int = MOST_ROWS) -> Lineage:
    """The lineage of a run's samples, of `most` of them at most.

    Args:
        resamplings: of the run, oldest first.
        batch: samples of the run.
        most: samples that are kept, evenly in their order.
    """
    places = np.empty((len(resamplings) + 1, batch), np.int64)
    places[-1] = np.arange(batch)
    for stretch in range(len(resamplings), 0, -1):
        places[stretch - 1] = resamplings[stretch - 1].parents[places[stretch]]
    order = np.lexsort(places[::-1])  # by the first ancestor, then by the next
    kept = order[np.unique(np.linspace(0, batch - 1, min(batch, most)).round().astype(int))]
    steps = np.array([one.index for one in resamplings], np.int64)
    founders, parents = (len(np.unique(places[stretch])) for stretch in (0, max(len(places) - 2, 0)))
    return Lineage(kept, places[:, kept], steps, batch, founders, parents)


def lineage_sentence(lineage: Lineage, group: int) -> str:
    """How many distinct ancestors the samples have where the run began."""
    groups = lineage.total // group
    whose = "" if groups == 1 else f", in {groups} groups"
    plural = "" if lineage.founders == 1 else "s"
    return f"{lineage.founders} distinct ancestor{plural} of {lineage.total} samples{whose}"


def copies_sentence(lineage: Lineage) -> str:
    """How many particles the samples are copies of, since the last resampling; empty without one."""
    if not len(lineage.steps):
        return ""
    return (
        f"Before the last resampling, at step {lineage.steps[-1]}, they were {lineage.parents} distinct "
        f"particle{'' if lineage.parents == 1 else 's'}."
    )
