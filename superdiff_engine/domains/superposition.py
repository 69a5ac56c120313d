"""How far apart two shapes are, wherever they stand and however they are turned; and how to lay one onto the other.

Without torch, so that the sandbox that reads files is quick to start.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Motion", "superpose", "superposed_distance", "tm_of_residues", "tm_scale"]


@dataclass(frozen=True, eq=False)
class Motion:
    """A rotation [3, 3] and a shift [3] that lay points onto others."""

    rotation: np.ndarray
    shift: np.ndarray

    def of(self, points: np.ndarray) -> np.ndarray:
        """Points [..., 3], moved."""
        return np.asarray(points @ self.rotation.T + self.shift)


def superpose(moving: np.ndarray, fixed: np.ndarray) -> Motion:
    """The motion that brings matched points [points, 3] nearest, in the sense of least squares (Kabsch 1976).

    No reflection: a shape and its mirror image stay apart.
    """
    here, there = moving.mean(0), fixed.mean(0)
    left, _, right = np.linalg.svd((moving - here).T @ (fixed - there))
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    rotation = right.T @ np.diag(sign) @ left.T
    return Motion(rotation, there - rotation @ here)


def superposed_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Root-mean-square distance of matched points [points, 3] after the best rotation and shift (Kabsch 1976).

    In the unit of the points; no reflection: a shape and its mirror image stay apart.
    """
    a, b = first - first.mean(0), second - second.mean(0)
    left, values, right = np.linalg.svd(a.T @ b)
    if np.linalg.det(left @ right) < 0:
        values[-1] *= -1
    square = (a**2).sum() + (b**2).sum() - 2 * values.sum()
    return float(np.sqrt(max(square, 0.0) / len(first)))


def tm_scale(residues: int) -> float:
    """d_0 of the TM-score in Angstrom, for a chain of so many residues (Zhang and Skolnick 2004); at least 0.5."""
    return max(0.5, 1.24 * np.cbrt(max(residues - 15, 0)) - 1.8)


def tm_of_residues(moving: np.ndarray, fixed: np.ndarray) -> tuple[float, Motion]:
    """TM-score of two chains of one length, residue by residue, and the motion that has it.

    The score is the largest mean of 1 / (1 + (d_i / d_0)^2) over all motions. It is sought as the program TM-score does
    (Zhang and Skolnick 2004): from the best superposition of pieces of the chain, of residues that come near in turn.

    Args:
        moving: CA [residues, 3] in Angstrom.
        fixed: likewise.

    Raises:
        ValueError: for chains of different lengths, or of fewer than three residues.
    """
    count = len(fixed)
    if len(moving) != count or count < 3:
        raise ValueError("Two chains of one length, of three residues at least, are needed.")
    scale = tm_scale(count)
    best = (-1.0, superpose(moving, fixed))
    size = count
    while size >= min(4, count):
        for start in range(0, count - size + 1, max(1, size // 4)):
            chosen = np.arange(start, start + size)
            for _ in range(20):
                motion = superpose(moving[chosen], fixed[chosen])
                square = np.square(motion.of(moving) - fixed).sum(1)
                score = float((1 / (1 + square / scale**2)).mean())
                if score > best[0]:
                    best = (score, motion)
                # Those that stand near; wider where these are too few to fix a motion.
                reach = max(scale, 1.0)
                near = np.nonzero(square < reach**2)[0]
                while len(near) < 3:
                    reach += 0.5
                    near = np.nonzero(square < reach**2)[0]
                if np.array_equal(near, chosen):
                    break
                chosen = near
        size //= 2
    return best
