"""Sizes of samples (atoms, residues), drawn as the training data have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch


def draw_sizes(counts: Mapping[int, int], count: int, seed: int) -> list[int]:
    """Sizes of samples, distributed as in the training data, which had `counts` samples of each size."""
    sizes = sorted(counts)
    shares = torch.tensor([float(counts[size]) for size in sizes])
    chosen = torch.multinomial(shares, count, True, generator=torch.Generator().manual_seed(seed))
    return [sizes[index] for index in chosen.tolist()]


def sizes_in_turn(counts: Sequence[Mapping[int, int]], batch: int, seed: int, group: int = 1) -> list[int]:
    """Sizes of a batch of samples, distributed as in the training data of several models, each in its turn.

    Every `group` samples, one after another, have one size: particles are resampled among those of their size.
    """
    groups = batch // group
    drawn = [draw_sizes(one, groups, seed) for one in counts]
    return [drawn[row % len(drawn)][row] for row in range(groups) for _ in range(group)]
