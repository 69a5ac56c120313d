r"""Experts: anything that knows a score in canonical coordinates, and wrappers that turn trained networks into one.

A network sees x_t = alpha y at its own time and predicts one of four things; with sigma = s alpha each gives the score
S = grad log q(y) = -eps / s:

    epsilon        eps = out
    v_prediction   v = alpha eps - sigma x_0      eps = (sigma x_t + alpha v) / (alpha^2 + sigma^2)
    flow           v = eps - x_0                  eps = (x_t + alpha v) / (alpha + sigma)
    sample         x_0 = out                      S = (x_0 - y) / s^2

(v: Salimans and Ho 2022, arXiv 2202.00512; flow: Lipman et al. 2023, arXiv 2210.02747.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args, runtime_checkable

import torch
from torch import Tensor, nn

from .geometry import Euclidean, Geometry, Level, Product, State
from .noise import Schedule

#: What a network predicts.
Parametrisation = Literal["epsilon", "v_prediction", "sample", "flow"]


@runtime_checkable
class ScoreModel(Protocol):
    """An expert: a family of densities q_s(y), one for each level, known by their score.

    An expert takes the states of its own space, and levels likewise: a tensor and a number, or a dictionary of them by
    component. Only whoever made it knows which, hence the open types of `score`'s arguments.
    """

    @property
    def title(self) -> str:
        """For charts and messages."""

    @property
    def space(self) -> Geometry | Product:
        """Where samples live."""

    @property
    def dtype(self) -> torch.dtype:
        """Of its samples."""

    def score(self, y: Any, level: Any) -> State:
        """Grad log q at y [batch, ...] and `level` (a float; for products a dictionary of floats, as y is)."""
        ...


@runtime_checkable
class Remembering(Protocol):
    """An expert whose network is told, at each level, what it said at the level before: self-conditioning (Chen et al.
    2022, arXiv 2208.04202).

    Whoever samples says when: `forget` before the first level, `remember` once the scores of a level are there, and
    `reorder` where the particles of a corrected run are resampled. In between `score` changes nothing, however often
    it is asked (Heun's correction, divergences): at a given level it is a function of y. Who asks for scores alone, as
    the estimation of given samples does, never calls `remember`; the expert has no memory then.

    With a memory log q is that of the path which was taken: the score at a level belongs to a density that the levels
    before have chosen (docs/log_density.md).
    """

    def forget(self) -> None:
        """Have no memory, as at the start of a run."""

    def remember(self) -> None:
        """Take what was said in the last call of `score` as what the next ones are told."""

    def reorder(self, parents: Tensor) -> None:
        """Let each sample have the memory of that which stood in the place `parents`, int64 [batch] on the CPU."""


@runtime_checkable
class Networked(Protocol):
    """An expert, or a network that several share, that says which modules it calls."""

    @property
    def networks(self) -> Sequence[nn.Module]:
        """Them, each called with tensors only, of the same shapes at every level."""


def networks_of(experts: Sequence[ScoreModel]) -> list[nn.Module]:
    """The modules that experts call, each once; none of those that do not say."""
    callers: list[object] = [one.network if isinstance(one, ConditionedScore) else one for one in experts]
    found = [module for one in callers if isinstance(one, Networked) for module in one.networks]
    return list({id(module): module for module in found}.values())


class NetworkScore:
    """The score of a trained denoiser.

    Args:
        network: maps (x_t [batch, *shape], time [batch]) to its prediction [batch, *shape].
        schedule: the forward process it was trained on.
        prediction: what it predicts.
        shape: of one sample.
        title: for charts and messages.

    Raises:
        ValueError: for an unknown kind of prediction.
    """

    #: Of its samples, whatever the network runs in.
    dtype = torch.float32

    def __init__(
        self,
        network: Callable[[Tensor, Tensor], Tensor],
        schedule: Schedule,
        prediction: Parametrisation,
        shape: Sequence[int],
        title: str = "network",
    ) -> None:
        if prediction not in get_args(Parametrisation):
            raise ValueError(f"prediction must be one of {', '.join(get_args(Parametrisation))}, got '{prediction}'.")
        self.network, self.schedule, self.prediction, self.title = network, schedule, prediction, title
        self.space = Euclidean(shape)

    @property
    def networks(self) -> list[nn.Module]:
        """The network, where it is a module."""
        return [self.network] if isinstance(self.network, nn.Module) else []

    def score(self, y: Tensor, level: float) -> Tensor:
        """[batch, *shape], float32 at least, whatever the network runs in."""
        levels = torch.tensor([float(level)], dtype=torch.float64)
        alpha, sigma = (float(self.schedule.alpha(levels)[0]), float(self.schedule.sigma(levels)[0]))
        x = alpha * y
        # Made where it is needed: a copy from the CPU would wait for the device.
        time = torch.full((len(y),), float(self.schedule.time(levels)[0]), dtype=y.dtype, device=y.device)
        out = self.network(x, time).to(y.dtype)
        return score_from_prediction(self.prediction, out, x, alpha, sigma)


def score_from_prediction(prediction: Parametrisation, out: Tensor, x: Tensor, alpha: float, sigma: float) -> Tensor:
    """The canonical score from a network's output at x_t = x, by the table above; shape of `x`."""
    level = sigma / alpha
    if prediction == "sample":
        return (out - x / alpha) / level**2
    if prediction == "epsilon":
        noise = out
    elif prediction == "v_prediction":
        noise = (sigma * x + alpha * out) / (alpha**2 + sigma**2)
    else:
        noise = (x + alpha * out) / (alpha + sigma)
    return -noise / level


class EDMScore:
    """The score of a raw network under Karras et al.'s preconditioning (arXiv 2206.00364, Table 1).

    D(y, s) = c_skip y + c_out F(c_in y, ln(s) / 4), S = (D - y) / s^2.

    Args:
        network: F, maps (c_in y, c_noise [batch]) to [batch, *shape].
        data_std: sigma_data.
    """

    dtype = torch.float32

    def __init__(
        self,
        network: Callable[[Tensor, Tensor], Tensor],
        shape: Sequence[int],
        data_std: float = 0.5,
        title: str = "EDM network",
    ) -> None:
        self.network, self.data_std, self.title = network, data_std, title
        self.space = Euclidean(shape)

    @property
    def networks(self) -> list[nn.Module]:
        """The network, where it is a module."""
        return [self.network] if isinstance(self.network, nn.Module) else []

    def score(self, y: Tensor, level: float) -> Tensor:
        """[batch, *shape]."""
        s, data = float(level), self.data_std
        total = s * s + data * data
        root: float = total**0.5
        noise = torch.full((len(y),), s, dtype=y.dtype, device=y.device).log() / 4
        out = self.network(y / root, noise).to(y.dtype)
        denoised = (data * data / total) * y + (s * data / root) * out
        return (denoised - y) / s**2


class SharedNetwork(Protocol):
    """A network that scores several conditions (prompts, say) in one batched call."""

    def scores(self, y: Any, level: Any, conditions: Sequence[Any]) -> list[State]:
        """One score a condition, each of the shape of y."""
        ...


@dataclass(frozen=True)
class ConditionedScore:
    """One condition of a shared network, as an expert."""

    network: SharedNetwork
    condition: Any
    space: Geometry | Product
    title: str = "condition"
    dtype: torch.dtype = torch.float32

    def score(self, y: Any, level: Any) -> State:
        """The score under this condition alone."""
        return self.network.scores(y, level, [self.condition])[0]


@dataclass(frozen=True)
class Guidance:
    """Classifier-free guidance (Ho and Salimans 2022, arXiv 2207.12598) on the mix of the experts.

    The drift becomes S_0 + w (sum_i kappa_i S_i - S_0); the tracked log-densities stay those of the experts.

    Args:
        reference: the unconditional expert, S_0.
        weight: w, or a function of the level that gives it.
    """

    reference: ScoreModel
    weight: float | Callable[[float], float]

    def at(self, level: float) -> float:
        """W at a level."""
        return self.weight(level) if callable(self.weight) else self.weight


def scores_of(experts: Sequence[ScoreModel], y: State, level: Level) -> list[State]:
    """All experts' scores at y; experts that share one network go through it in one batched call."""
    shared: dict[int, list[ConditionedScore]] = {}
    for expert in experts:
        if isinstance(expert, ConditionedScore):
            shared.setdefault(id(expert.network), []).append(expert)
    results = {
        network: iter(members[0].network.scores(y, level, [member.condition for member in members]))
        for network, members in shared.items()
    }
    return [
        next(results[id(expert.network)]) if isinstance(expert, ConditionedScore) else expert.score(y, level)
        for expert in experts
    ]
