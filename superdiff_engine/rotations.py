r"""Rotations and the isotropic Gaussian on SO(3).

exp and log between rotation vectors and matrices, uniform rotations, and the heat kernel IGSO(3): the density, against
the uniform distribution, of Brownian motion of variance v after starting at the identity, as a function of the angle w:

    f(w; v) = sum_l (2 l + 1) exp(-l (l + 1) v / 2) sin((l + 1/2) w) / sin(w / 2)
            = sqrt(pi) t^(-3/2) e^(t/4) sum_n (-1)^n (w + 2 pi n) exp(-(w + 2 pi n)^2 / (4 t)) / (2 sin(w / 2))

The second line is the first by Poisson summation: the first converges fast for large v, the second for small v;
t = v / 2.
References: Nikolayev and Savyolov 1970; Leach et al. 2022; Yim et al. 2023 (FrameDiff, arXiv 2302.02277).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

#: Above this value of t = v / 2 the sum over characters is used, below it the Poisson sum.
_CROSSOVER = 1.0
_SMALLEST_ANGLE = 1e-6


def hat(vector: Tensor) -> Tensor:
    """The skew-symmetric matrix [..., 3, 3] of a vector [..., 3]."""
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.unflatten(torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1), -1, (3, 3))


def exponential(vector: Tensor) -> Tensor:
    """Rodrigues' formula: the rotation [..., 3, 3] by |vector| radians about vector [..., 3]."""
    angle_squared = vector.square().sum(-1)[..., None, None]
    angle = angle_squared.clamp_min(1e-16).sqrt()
    small = angle_squared < 1e-8
    first = torch.where(small, 1 - angle_squared / 6, angle.sin() / angle)
    second = torch.where(small, 0.5 - angle_squared / 24, (1 - angle.cos()) / angle.square())
    skew = hat(vector)
    return torch.eye(3, dtype=vector.dtype, device=vector.device) + first * skew + second * (skew @ skew)


def logarithm(rotation: Tensor) -> Tensor:
    """The rotation vector [..., 3], of length 0 to pi, of a rotation [..., 3, 3]; by way of the quaternion."""
    w, x, y, z = quaternion(rotation).unbind(-1)
    imaginary = torch.stack([x, y, z], -1)
    length: Tensor = imaginary.norm(dim=-1)
    angle = 2 * torch.atan2(length, w)
    factor = torch.where(length > 1e-8, angle / length.clamp_min(1e-30), 2 / w.clamp_min(0.5))
    return factor[..., None] * imaginary


def quaternion(rotation: Tensor) -> Tensor:
    """The unit quaternion [..., 4] (w, x, y, z), w >= 0, of a rotation [..., 3, 3]; stable at every angle."""
    m = rotation
    trace = m.diagonal(dim1=-2, dim2=-1).sum(-1)
    # Four candidates, each exact but ill-conditioned where its own component is small: take the largest one.
    diagonal = torch.stack([trace, m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]], -1)
    largest = diagonal.argmax(-1)
    w = torch.stack(
        [1 + trace, m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]], -1
    )
    xx, yy, zz = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    xy, xz, yz = m[..., 0, 1] + m[..., 1, 0], m[..., 0, 2] + m[..., 2, 0], m[..., 1, 2] + m[..., 2, 1]
    x = torch.stack([w[..., 1], 1 + xx - yy - zz, xy, xz], -1)
    y = torch.stack([w[..., 2], xy, 1 - xx + yy - zz, yz], -1)
    z = torch.stack([w[..., 3], xz, yz, 1 - xx - yy + zz], -1)
    candidates = torch.stack([w, x, y, z], -2)
    chosen = candidates.gather(-2, largest[..., None, None].expand(*largest.shape, 1, 4)).squeeze(-2)
    unit: Tensor = chosen / chosen.norm(dim=-1, keepdim=True)
    return torch.where(unit[..., :1] < 0, -unit, unit)


def uniform(shape: Sequence[int], generator: torch.Generator, dtype: torch.dtype = torch.float64) -> Tensor:
    """Uniform rotations [*shape, 3, 3], from normalised Gaussian quaternions, on the generator's device."""
    q = torch.randn((*shape, 4), generator=generator, dtype=dtype, device=generator.device)
    w, x, y, z = (q / q.norm(dim=-1, keepdim=True)).unbind(-1)
    rows = torch.stack(
        [
            1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
            2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
            2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
        ],
        -1,
    )  # fmt: skip
    return torch.unflatten(rows, -1, (3, 3))


def igso3_log_density(angle: Tensor, variance: float) -> Tensor:
    """Log f(angle; variance) against the uniform distribution, nats, shape of `angle` (radians, 0 to pi; float64).

    Raises:
        ValueError: if the variance is not positive.
    """
    if not variance > 0:
        raise ValueError(f"The variance of an isotropic Gaussian on SO(3) must be positive, got {variance}.")
    w = angle.clamp_min(_SMALLEST_ANGLE)
    t = variance / 2
    half_sine = torch.sin(w / 2)
    if t >= _CROSSOVER:
        order = torch.arange(12, dtype=w.dtype, device=w.device)
        terms = (2 * order + 1) * torch.exp(-order * (order + 1) * t)
        return torch.log((terms * torch.sin((order + 0.5) * w[..., None])).sum(-1) / half_sine)
    # The factor exp(-w^2 / 4t) is taken out of the sum: the rest neither under- nor overflows.
    turns = torch.arange(-3, 4, dtype=w.dtype, device=w.device) * (2 * math.pi)
    sign = torch.tensor([-1.0, 1.0, -1.0, 1.0, -1.0, 1.0, -1.0], dtype=w.dtype, device=w.device)
    shifted = w[..., None] + turns
    relative = torch.exp((w[..., None].square() - shifted.square()) / (4 * t))
    bracket = (sign * shifted * relative).sum(-1) / (2 * half_sine)
    return 0.5 * math.log(math.pi) - 1.5 * math.log(t) + t / 4 - w.square() / (4 * t) + bracket.log()


def igso3_score(rotation: Tensor, variance: float) -> Tensor:
    """Gradient of log f at `rotation` [..., 3, 3], in the body frame, [..., 3]."""
    vector = logarithm(rotation)
    angle: Tensor = vector.norm(dim=-1)
    # Differentiable itself, for divergences, when gradients are on.
    keep = torch.is_grad_enabled() and angle.requires_grad
    with torch.enable_grad():
        w = angle.clamp_min(_SMALLEST_ANGLE) if keep else angle.detach().clamp_min(_SMALLEST_ANGLE).requires_grad_()
        (slope,) = torch.autograd.grad(igso3_log_density(w, variance).sum(), w, create_graph=keep)
    if not keep:
        w = w.detach()
    # At angle 0 the slope vanishes with the angle: the quotient is finite.
    return (slope / w)[..., None] * vector


class HeatKernels:
    """The heat kernel at a row of levels, tabulated once: quick draws and scores for batches of different levels.

    Args:
        levels: r > 0, float64 [levels]; the kernel at r has the variance r^2.
        angles: points of the table from 0 to the angle that Brownian motion of that level hardly ever passes.
    """

    def __init__(self, levels: Tensor, angles: int = 512) -> None:
        self.levels = levels.double()
        #: The largest angle of each level's table, [levels].
        self.reach = (8 * self.levels).clamp_max(math.pi)
        grid = torch.linspace(0, 1, angles, dtype=torch.float64)
        table, slopes, spread = [], [], []
        for level, reach in zip(self.levels.tolist(), self.reach.tolist(), strict=True):
            with torch.enable_grad():
                w = (grid * reach).clamp_min(_SMALLEST_ANGLE).requires_grad_()
                log_density = igso3_log_density(w, level**2)
                (slope,) = torch.autograd.grad(log_density.sum(), w)
            w = w.detach()
            # Against the angle itself: uniform rotations have the density (1 - cos w) / pi.
            mass = log_density.detach().exp() * (1 - w.cos())
            total = torch.cat([torch.zeros(1, dtype=torch.float64), torch.cumulative_trapezoid(mass, w)])
            table.append(total / total[-1])
            slopes.append(slope / w)
            spread.append(torch.trapezoid(mass * slope.square(), w) / total[-1] / 3)
        self._cumulative, self._slopes = torch.stack(table), torch.stack(slopes)
        #: Root mean square of a component of the score, [levels].
        self.spread = torch.stack(spread).sqrt()

    def draw(self, index: Tensor, count: int, generator: torch.Generator) -> Tensor:
        """Rotation vectors [batch, count, 3], float32, of Brownian motion from the identity.

        Args:
            index: of the level, int64 [batch].
            count: of rotations each.
            generator: of the draws.
        """
        uniform = torch.rand(len(index), count, generator=generator, dtype=torch.float64)
        rows = self._cumulative[index]
        upper = torch.searchsorted(rows, uniform).clamp(1, rows.shape[1] - 1)
        before, after = rows.gather(1, upper - 1), rows.gather(1, upper)
        place = (upper - 1 + (uniform - before) / (after - before).clamp_min(1e-300)) / (rows.shape[1] - 1)
        axis = torch.randn(len(index), count, 3, generator=generator, dtype=torch.float64)
        angle = place * self.reach[index].unsqueeze(1)
        length: Tensor = axis.norm(dim=2, keepdim=True)
        return (angle.unsqueeze(2) * axis / length).float()

    def score(self, vector: Tensor, index: Tensor) -> Tensor:
        """Gradient of the log-density, in the body frame, at rotation vectors [batch, count, 3]; the like of `vector`.

        Args:
            vector: from the identity.
            index: of the level, int64 [batch].
        """
        steps = self._slopes.shape[1] - 1
        reach = self.reach[index].unsqueeze(1)
        angle: Tensor = vector.double().norm(dim=2)
        place = (angle / reach).clamp_max(1) * steps
        lower = place.floor().long().clamp_max(steps - 1)
        part = place - lower
        rows = self._slopes[index]
        slope = rows.gather(1, lower) * (1 - part) + rows.gather(1, lower + 1) * part
        return (slope.unsqueeze(2) * vector).to(vector)
