r"""FrameDiff and Proteus as experts: from an estimate of clean frames to scores of noisy ones.

Both networks see (R_t, x_t) at a time t and say what the clean frames (R_0, x_0) are. With positions y = x_t / alpha_t
at level s and rotations at level r (`schedules`),

    positions   S = (x_0 - y) / s^2
    rotations   S = grad log f(R_0^T R_t; r^2), in the body frame of R_t

f is the heat kernel of SO(3) in the metric in which length is the rotation angle, exp(-l (l + 1) r^2 / 2)
(`rotations`): exact, where the authors' code reads a table at the next of 1000 levels. In x_t their score of positions
is S / alpha_t.

Runs begin with uniform rotations. The authors begin at the heat kernel of r = 1.5 around the axes of the coordinates,
which no protein has: it is 0.05 nats a residue from uniform, and log q would depend on how a protein is turned.

Both networks are told what they said at the level before (self-conditioning), which `FrameScore` keeps: see
`score.Remembering`. The authors' samplers evaluate FrameDiff once before the first step, to have something to tell it;
here the first level is told nothing, as half of its training was.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from ....rotations import igso3_score
from ..model import ANGSTROM, BackboneScore
from .rigid import FrameEstimate, Memory
from .schedules import NOISING, TRANSLATIONS


class FrameNetwork(Protocol):
    """A network of frames: `framediff.FrameDiffNetwork`, `proteus.ProteusNetwork`."""

    def __call__(
        self, rotation: Tensor, positions: Tensor, time: Tensor, mask: Tensor, previous: Memory | None = None
    ) -> FrameEstimate:
        """Clean frames of noisy ones: rotations [B, N, 3, 3], CA in Angstrom [B, N, 3], time [B], bool mask [B, N]."""
        ...


class FrameScore(BackboneScore):
    """A network of frames as an expert for chains of given lengths; it remembers (`score.Remembering`).

    One object is an expert of one run at a time.

    Args:
        network: on `device`.
        title: for charts and messages.
        residues: numbers of residues, one a sample.
        device: of the samples.
    """

    noising = NOISING

    def __init__(self, network: FrameNetwork, title: str, residues: Sequence[int], device: str = "cpu") -> None:
        super().__init__(title, residues, device)
        self.network = network
        self._said: Memory | None = None
        self._told: Memory | None = None

    def score(self, y: Any, level: Any) -> Any:
        """Of positions [B, N, 3] (in 1 / 10 Angstrom) and, in the body frame, of rotations [B, N, 3] (1 / radian)."""
        positions, rotation = y["positions"], y["rotations"]
        s, r = float(level["positions"]), float(level["rotations"])
        levels = torch.full((len(positions),), s, dtype=torch.float64)
        alpha = float(TRANSLATIONS.alpha(levels)[0])
        time = TRANSLATIONS.time(levels).to(positions)
        found = self.network(rotation, ANGSTROM * alpha * positions, time, self.mask, self._told)
        self._said = {name: part.detach() for name, part in found.memory.items()}
        # In float64, which Apple's GPUs lack: at a small r the score is the angle over r^2.
        clean, noisy = (part.cpu() if part.device.type == "mps" else part for part in (found.rotation, rotation))
        apart = clean.double().transpose(-1, -2) @ noisy.double()
        return {
            "positions": (found.positions / ANGSTROM - positions) / s**2,
            "rotations": igso3_score(apart, r**2).to(positions),
        }

    def forget(self) -> None:
        """As `score.Remembering`."""
        self._said = self._told = None

    def remember(self) -> None:
        """As `score.Remembering`."""
        self._told = self._said

    def reorder(self, parents: Tensor) -> None:
        """As `score.Remembering`."""
        if self._told is not None:
            self._told = {name: part[parents.to(part.device)] for name, part in self._told.items()}
