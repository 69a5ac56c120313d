r"""Gaussian mixtures: experts that know their own density at every noise level, and the oracles of the tests.

Adding noise of level s to a mixture of N(mu_k, v_k I) gives the mixture of N(mu_k, (v_k + s^2) I): so log q and its
gradient are exact in canonical coordinates, in any dimension.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ...geometry import Euclidean
from ...noise import Schedule


class GaussianMixture:
    """A mixture of isotropic Gaussians in d dimensions, as an expert with exact score and density.

    Args:
        means: [modes, d].
        variances: [modes], of each mode in every direction.
        masses: [modes], relative; None for equal masses.
        title: for charts.
        dtype: of its samples; float64, so that tests can compare with exact densities.

    Raises:
        ValueError: if the lengths differ or a variance or mass is not positive.
    """

    def __init__(
        self,
        means: Sequence[Sequence[float]] | Tensor,
        variances: Sequence[float] | Tensor,
        masses: Sequence[float] | Tensor | None = None,
        title: str = "mixture",
        dtype: torch.dtype = torch.float64,
    ) -> None:
        self.means = torch.as_tensor(means, dtype=dtype)
        self.variances = torch.as_tensor(variances, dtype=dtype)
        modes = len(self.means)
        raw = torch.ones(modes, dtype=dtype) if masses is None else torch.as_tensor(masses, dtype=dtype)
        if self.means.ndim != 2 or self.variances.shape != (modes,) or raw.shape != (modes,):
            raise ValueError("A mixture needs means [modes, d], and a variance (and a mass) for each mode.")
        if bool((self.variances <= 0).any()) or bool((raw <= 0).any()):
            raise ValueError("The variances and masses of a mixture must be positive.")
        self.log_masses = torch.log(raw / raw.sum())
        self.title, self.dtype = title, dtype
        self.space = Euclidean((self.means.shape[1],))

    def _log_parts(self, y: Tensor, level: float | Tensor) -> tuple[Tensor, Tensor]:
        means, variances = self.means.to(y), self.variances.to(y) + level**2
        # |y - mu|^2 by expansion: one matrix product instead of [batch, modes, d] in memory.
        squares = y.square().sum(-1, keepdim=True) - 2 * y @ means.T + means.square().sum(-1)
        dimension = means.shape[1]
        log_normal = -0.5 * (squares / variances + dimension * torch.log(2 * math.pi * variances))
        return self.log_masses.to(y) + log_normal, variances

    def log_density(self, y: Tensor, level: float | Tensor) -> Tensor:
        """Log q at y [batch, d] and `level`, [batch], nats."""
        return torch.logsumexp(self._log_parts(y, level)[0], -1)

    def score(self, y: Tensor, level: float | Tensor) -> Tensor:
        """Grad log q at y [batch, d] and `level`, [batch, d]."""
        parts, variances = self._log_parts(y, level)
        pull = torch.softmax(parts, -1) / variances
        return pull @ self.means.to(y) - pull.sum(-1, keepdim=True) * y

    def sample(self, count: int, seed: int = 0, level: float = 0.0) -> Tensor:
        """Exact samples at a level, [count, d]."""
        generator = torch.Generator().manual_seed(seed)
        mode = torch.multinomial(self.log_masses.exp(), count, replacement=True, generator=generator)
        noise = torch.randn(count, self.means.shape[1], generator=generator, dtype=self.dtype)
        return self.means[mode] + (self.variances[mode] + level**2).sqrt()[:, None] * noise

    def through(self, schedule: Schedule, prediction: str):  # noqa: ANN201
        """The perfect network of this mixture: what a denoiser trained to the end on `schedule` would predict.

        Returns:
            A callable (x_t, time) -> prediction, for `NetworkScore`; see there for the kinds.
        """

        def network(x: Tensor, time: Tensor) -> Tensor:
            level = schedule.level(time.double()).to(x)[:, None]
            alpha, sigma = schedule.alpha(level), schedule.sigma(level)
            noise = -level * self.score(x / alpha, level)
            denoised = (x - sigma * noise) / alpha
            return {
                "epsilon": noise,
                "sample": denoised,
                "v_prediction": alpha * noise - sigma * denoised,
                "flow": noise - denoised,
            }[prediction]

        return network
