r"""Where samples live: inner products, noise, steps and priors of Euclidean, centred and rotation spaces.

A state is one tensor [batch, ...] or, for products, a dictionary of them; a *tangent* (score, drift, noise) has the
same tree. All that the sampling loop asks of a space is here, so neither the loop nor the estimators know what a
sample is. In canonical coordinates the forward process is Brownian motion of variance s^2 in every one of them:

    Euclidean    y = x_0 + s eps
    centred      the same within the subspace of zero centre of mass, of dimension d (n - 1)
    SO(3)        R = R_0 B, B Brownian, with score and noise in the body frame: R' = R exp(hat(v))

On SO(3) the Laplacian belongs to the metric in which the length of v is the rotation angle, and densities are taken
against the uniform distribution.

Masks are boolean, True where a dimension (or point) exists; masked ones stay exactly zero (the identity on SO(3))
and take no part in any inner product.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from . import rotations
from .transfers import home, sent

#: A state or a tangent by the names of its components.
Parts = dict[str, Tensor]
State = Tensor | Parts


def whole(state: State) -> Tensor:
    """A state that has no components, [batch, ...]; raises TypeError for one that has."""
    if isinstance(state, dict):
        raise TypeError(f"a state of the components {', '.join(state)}")
    return state


def divided(state: State) -> Parts:
    """A state by component; raises TypeError for one that has none."""
    if not isinstance(state, dict):
        raise TypeError("a state without components")
    return state


#: A noise level s, or that of each component where a state has several.
Level = float | dict[str, float]

T = TypeVar("T")


class Geometry(ABC):
    """One component's space."""

    #: Shape of one tangent vector, without the batch.
    tangent_shape: tuple[int, ...]

    @abstractmethod
    def prior(self, batch: int, level: float, generator: torch.Generator, dtype: torch.dtype, device: str) -> Tensor:
        """Samples at the highest level, [batch, ...]."""

    @abstractmethod
    def log_prior(self, y: Tensor, level: float) -> Tensor:
        """log-density of the prior at y, [batch], nats, float64."""

    @abstractmethod
    def project(self, tangent: Tensor) -> Tensor:
        """The part of tangents [..., batch, *tangent_shape] within the space: masked, centred where the space is."""

    def noise(self, batch: int, generator: torch.Generator, dtype: torch.dtype, device: str) -> Tensor:
        """A standard normal tangent, [batch, *tangent_shape], drawn where the generator is: there, devices agree."""
        return self.project(_drawn((batch, *self.tangent_shape), generator, dtype, device))

    def probe(self, batch: int, generator: torch.Generator, dtype: torch.dtype, device: str) -> Tensor:
        """A Rademacher tangent with E[v v^T] = the projection, for Hutchinson's trace estimate."""
        shape, where = (batch, *self.tangent_shape), generator.device
        signs = torch.randint(0, 2, shape, generator=generator, device=where).mul_(2).sub_(1)
        return self.project(sent(signs, device).to(dtype=dtype))

    #: True where a dimension (or point) exists; None where all do.
    mask: Tensor | None = None

    def basis(self, batch: int, dtype: torch.dtype, device: str) -> Iterator[Tensor]:
        """Projected basis tangents [batch, *tangent_shape], whose quadratic forms add up to the trace within the space.

        Those of dimensions that no sample has are left out.
        """
        for index in self._present().nonzero().flatten().tolist():
            tangent = torch.zeros(batch, math.prod(self.tangent_shape), dtype=dtype, device=device)
            tangent[:, index] = 1
            yield self.project(torch.unflatten(tangent, 1, self.tangent_shape))

    def most_dimensions(self) -> int:
        """How many tangents `basis` has: no sample has more dimensions than that."""
        return int(self._present().sum())

    def alike(self, size: int) -> bool:
        """Whether samples, in groups of `size` one after another, have the same dimensions within each group."""
        if self.mask is None or self.mask.ndim <= len(self.tangent_shape) or len(self.mask) == 1:
            return True
        groups = self.mask.reshape(-1, size, *self.mask.shape[1:])
        return bool((groups == groups[:, :1]).all())

    def _present(self) -> Tensor:
        """Bool [product of tangent_shape], whether some sample has the dimension."""
        if self.mask is None:
            return torch.ones(math.prod(self.tangent_shape), dtype=torch.bool)
        # Masks may lack the batch: those dimensions are the last ones then.
        shape = (-1, *self.tangent_shape) if self.mask.ndim > len(self.tangent_shape) else self.tangent_shape
        full = self.mask.expand(shape if shape[0] != -1 else (len(self.mask), *self.tangent_shape))
        return full.reshape(-1, math.prod(self.tangent_shape)).bool().any(0).cpu()

    def inner(self, first: Tensor, second: Tensor) -> Tensor:
        """Inner products of projected tangents, [..., batch, *tangent_shape] each: [..., batch], float64.

        What they have before the batch is broadcast, so that one call takes those of all experts. They live in the
        tangents' `home`.
        """
        wide = self.wide(first) * self.wide(second)
        return wide.flatten(-len(self.tangent_shape)).sum(-1)

    def wide(self, tangent: Tensor) -> Tensor:
        """A tangent in float64, in its `home`: what `inner` computes with; of one that is so already, itself."""
        return tangent if tangent.dtype == torch.float64 else tangent.to(home(tangent.device)).double()

    def move(self, y: Tensor, tangent: Tensor) -> Tensor:
        """The point reached from y along a tangent (the retraction)."""
        return y + tangent


class Euclidean(Geometry):
    """R^d in any shape.

    Args:
        shape: of one sample, without the batch.
        mask: boolean, broadcastable to [batch, *shape]; None for no mask.
    """

    def __init__(self, shape: Sequence[int], mask: Tensor | None = None) -> None:
        self.tangent_shape = tuple(shape)
        self.mask = mask

    def project(self, tangent: Tensor) -> Tensor:
        return tangent if self.mask is None else tangent * self.mask.to(tangent)

    def prior(self, batch: int, level: float, generator: torch.Generator, dtype: torch.dtype, device: str) -> Tensor:
        return level * self.noise(batch, generator, dtype, device)

    def dimensions(self, batch: int) -> Tensor:
        """Dimensions of each sample, [batch], float64."""
        if self.mask is None:
            return torch.full((batch,), float(math.prod(self.tangent_shape)), dtype=torch.float64)
        return self.mask.expand(batch, *self.tangent_shape).flatten(1).sum(1).double().cpu()

    def log_prior(self, y: Tensor, level: float) -> Tensor:
        square = self.inner(y, y)
        dimensions = self.dimensions(len(y)).to(square.device)
        return -0.5 * (square / level**2 + dimensions * math.log(2 * math.pi * level**2))


class Centred(Euclidean):
    """Point clouds [batch, points, d] with zero centre of mass (Hoogeboom et al. 2022, arXiv 2203.17003).

    Args:
        shape: (points, d).
        mask: boolean [points] or [batch, points], True for points that exist.
    """

    def __init__(self, shape: Sequence[int], mask: Tensor | None = None) -> None:
        if len(shape) != 2:
            raise ValueError(f"A centred space needs a shape (points, dimensions), got {tuple(shape)}.")
        super().__init__(shape, None if mask is None else mask.unsqueeze(-1))

    def project(self, tangent: Tensor) -> Tensor:
        if self.mask is None:
            return tangent - tangent.mean(-2, keepdim=True)
        mask = self.mask.to(tangent)
        masked = tangent * mask
        mean = masked.sum(-2, keepdim=True) / mask.sum(-2, keepdim=True).clamp_min(1)
        return (masked - mean) * mask

    def dimensions(self, batch: int) -> Tensor:
        return super().dimensions(batch) - self.tangent_shape[1]


class SO3(Geometry):
    """Rotations [batch, *shape, 3, 3], with tangents [batch, *shape, 3] in the body frame: R' = R exp(hat(v)).

    The prior is uniform: right once level^2 is above about 10, where an isotropic Gaussian on SO(3) differs from
    uniform by less than exp(-level^2).

    Args:
        shape: of the rotations in one sample, for instance (residues,).
        mask: boolean, broadcastable to [batch, *shape].
    """

    def __init__(self, shape: Sequence[int] = (), mask: Tensor | None = None) -> None:
        self.tangent_shape = (*shape, 3)
        self.mask = None if mask is None else mask.unsqueeze(-1)

    def project(self, tangent: Tensor) -> Tensor:
        return tangent if self.mask is None else tangent * self.mask.to(tangent)

    def prior(self, batch: int, level: float, generator: torch.Generator, dtype: torch.dtype, device: str) -> Tensor:
        uniform = sent(rotations.uniform((batch, *self.tangent_shape[:-1]), generator, dtype), device)
        if self.mask is None:
            return uniform
        return torch.where(self.mask.unsqueeze(-1).to(device), uniform, torch.eye(3, dtype=dtype, device=device))

    def log_prior(self, y: Tensor, level: float) -> Tensor:
        return torch.zeros(len(y), dtype=torch.float64, device=home(y.device))

    def move(self, y: Tensor, tangent: Tensor) -> Tensor:
        return y @ rotations.exponential(tangent)


def _drawn(shape: Sequence[int], generator: torch.Generator, dtype: torch.dtype, device: str) -> Tensor:
    """Standard normal numbers on `device`, drawn where the generator is."""
    return sent(torch.randn(tuple(shape), generator=generator, dtype=dtype, device=generator.device), device)


def total(parts: Parts) -> Tensor:
    """The sum over components, of log-densities say."""
    values = list(parts.values())
    return values[0] if len(values) == 1 else torch.stack(values).sum(0)


def finite(values: Tensor) -> Tensor:
    """Bool, whether each of them is finite: in two passes, where `isfinite` takes five."""
    return values * 0 == 0


class Product:
    """A product of spaces: a state is a dictionary of components, log-densities add up over them.

    Args:
        components: a geometry for each component's name; the empty name is kept for a state that is one tensor.
    """

    def __init__(self, components: dict[str, Geometry]) -> None:
        if not components:
            raise ValueError("A product of spaces needs at least one component.")
        self.components = components

    @staticmethod
    def of(space: Geometry | Product) -> Product:
        """`space` itself, or the product that has it as its only, nameless component."""
        return space if isinstance(space, Product) else Product({"": space})

    def most_dimensions(self) -> int:
        """No sample has more dimensions than that."""
        return sum(geometry.most_dimensions() for geometry in self.components.values())

    def map(self, function: Callable[..., T], *trees: Mapping[str, object]) -> dict[str, T]:
        """`function` of each component's geometry and of what each tree has for that component, by components."""
        return {name: function(geometry, *(tree[name] for tree in trees)) for name, geometry in self.components.items()}

    def move(self, y: Parts, tangent: Parts) -> Parts:
        """The point reached from y along a tangent."""
        return {name: geometry.move(y[name], tangent[name]) for name, geometry in self.components.items()}

    def pack(self, state: Parts) -> State:
        """The user's view of a state: the tensor itself where the only component has no name."""
        return state[""] if list(state) == [""] else dict(state)

    def unpack(self, state: State) -> Parts:
        """The loop's view of a state."""
        return state if isinstance(state, dict) else {"": state}

    def pack_level(self, level: dict[str, float]) -> Level:
        """An expert's view of the level of each component."""
        return level[""] if list(level) == [""] else dict(level)
