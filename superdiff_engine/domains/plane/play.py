r"""Direct play in the plane: small runs between two movements of a hand, and mixtures fitted to what a hand drew.

A drawn area is fitted by maximum likelihood (expectation maximisation, Dempster, Laird and Rubin 1977) with 1, 2, ..
modes, and the number of modes is the one with the lowest Bayesian information criterion (Schwarz 1978),

    BIC = p log n - 2 log L,     p = 4 k - 1  of k isotropic modes in the plane.
"""

from __future__ import annotations

import time
import warnings

import numpy as np
import torch

from ...domain import Domain
from ...errors import RecipeError, StepError
from ...play import Played
from ...recipes.document import DRAWN, PLANE_EXTENT, Expert, Levels, Mixture, Recipe
from ...recipes.operators import OrRecipe
from ...system.threads import cpu_threads
from ...walk import walk
from ..colours import owners
from ..experts import of_kind
from .distance import distance, log_target, target_of
from .mixture import GaussianMixture

#: Cells of the target's grid, each way.
CELLS = 72
#: Points that a mixture is fitted to: at least, and at most; more are thinned.
FEWEST, MOST_POINTS = 8, 800
#: The least width of a fitted mode (a standard deviation), plane units: strokes have some.
NARROWEST = 0.08
#: Half-widths of the window that the target may be drawn in; the first that holds all modes and two of their widths.
REACHES = (4.0, 6.0, 8.0, 12.0)


class PlanePlaying:
    """Direct play with the experts of the plane.

    Args:
        domain: the plane itself.
        mixtures: its ready ones: id -> (title, mixture).
    """

    def __init__(self, domain: Domain, mixtures: dict[str, tuple[str, Mixture]]) -> None:
        self._domain, self._mixtures = domain, mixtures

    @property
    def domain(self) -> str:
        return self._domain.name

    def begin(self) -> Recipe:
        first = Mixture(means=[[-1.5, 1.0], [0.5, 1.6]], variances=[0.16, 0.25], masses=[1.0, 1.0])
        second = Mixture(means=[[-0.5, -1.2], [1.6, -0.4]], variances=[0.25, 0.16], masses=[1.0, 2.0])
        experts = [Expert(model=DRAWN, mixture=mixture) for mixture in (first, second)]
        levels = Levels(steps=60)
        return Recipe(domain=self.domain, experts=experts, operator=OrRecipe(), levels=levels, batch=500)

    def ready(self) -> dict[str, Mixture]:
        return dict(self._mixtures.values())

    def drawn(self, recipe: Recipe) -> Recipe:
        if recipe.domain != self.domain:
            raise RecipeError(
                f"The playground plays with recipes of '{self.domain}', and this one is of another domain."
            )
        experts = [
            Expert(model=DRAWN, mixture=expert.mixture or self._mixtures[expert.model][1]) for expert in recipe.experts
        ]
        return recipe.model_copy(update={"experts": experts})

    def play(self, recipe: Recipe, moments: int, most: float) -> Played:
        # A second thread gains nothing at this size, and takes a core from the browser that draws.
        with cpu_threads(self._domain.threads or 1):
            return self._play(recipe, moments, most)

    def _play(self, recipe: Recipe, moments: int, most: float) -> Played:
        began = time.monotonic()
        prepared = self._domain.prepare(recipe, "cpu")
        experts = of_kind(prepared.experts, GaussianMixture)
        kept = set(
            np.linspace(0, recipe.levels.steps, min(moments, recipe.levels.steps + 1)).round().astype(int).tolist()
        )
        index: list[int] = []
        level: list[float] = []
        positions: list[np.ndarray] = []
        owned: list[np.ndarray] = []
        means: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        importance, problem = None, ""
        try:
            for step in walk(recipe, self._domain, prepared):
                if time.monotonic() - began > most:
                    raise RecipeError(
                        f"This takes longer than {most:g} s here; choose fewer samples, steps or modes, or open it in "
                        "Compose."
                    )
                if step.parents is not None:
                    parents = step.parents.numpy()
                    positions = [past[parents] for past in positions]
                    owned = [past[parents] for past in owned]
                if step.log_importance is not None:
                    importance = torch.softmax(step.log_importance.view(-1, recipe.group), -1).flatten().numpy()
                    importance = importance * recipe.group / recipe.batch
                if step.index not in kept:
                    continue
                y = step.samples["x"] if isinstance(step.samples, dict) else step.samples
                exact = torch.stack([expert.log_density(y, step.level) for expert in experts]).numpy()
                weights = step.weights.numpy()
                index.append(step.index)
                level.append(step.level)
                positions.append(y.numpy().astype(np.float32))
                owned.append(owners(weights).astype(np.int8))
                shares = np.full(recipe.batch, 1 / recipe.batch) if importance is None else importance
                means.append((step.log_density.numpy() @ shares, exact @ shares, weights @ shares))
        except StepError as error:
            problem = str(error)
        if not index:
            raise RecipeError(problem)
        estimated, truth, weighed = (np.stack(part) for part in zip(*means, strict=True))
        reach = self._reach(experts)
        target, far, untold = None, None, recipe.operator.no_target
        formula = target_of(recipe)
        if formula is not None and not problem:
            found = distance(formula, experts, positions[-1].astype(float), level[-1], 1.0, importance)
            far = found.samples, found.floor
            if len(experts) > 1:
                axis = torch.linspace(-reach, reach, CELLS, dtype=torch.float64)
                grid = torch.cartesian_prod(axis, axis).flip(1)
                on_grid = torch.stack([expert.log_density(grid, level[-1]).view(CELLS, CELLS) for expert in experts])
                target = log_target(formula, on_grid.numpy())
        return Played(
            index=np.array(index),
            level=np.array(level),
            positions=np.stack(positions),
            owners=np.stack(owned),
            log_density=estimated,
            exact=truth,
            weights=weighed,
            counts=None if importance is None or problem else importance * recipe.batch,
            target=target,
            reach=reach,
            distance=far,
            untold="" if target_of(recipe) is not None else untold,
            problem=problem,
        )

    def _reach(self, experts: list[GaussianMixture]) -> float:
        farthest = max(float((expert.means.abs().amax(1) + 2 * expert.variances.sqrt()).max()) for expert in experts)
        return next((reach for reach in REACHES if reach >= farthest), REACHES[-1])

    def fit(self, points: np.ndarray, most: int) -> Mixture:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture as Fitted

        points = np.asarray(points, float).reshape(-1, 2)
        points = points[np.isfinite(points).all(1) & (np.abs(points) <= PLANE_EXTENT).all(1)]
        if len(points) < FEWEST:
            raise RecipeError("What was drawn is too small to fit a mixture to; draw a longer stroke inside the plane.")
        if len(points) > MOST_POINTS:
            points = points[np.linspace(0, len(points) - 1, MOST_POINTS).astype(int)]
        best, lowest = None, np.inf
        for modes in range(1, min(most, len(points) // 4) + 1):
            fitted = Fitted(
                modes, covariance_type="spherical", random_state=0, reg_covar=NARROWEST**2, max_iter=60, tol=1e-3
            )
            with warnings.catch_warnings():
                # A fit that has not quite converged is drawn as it is, and can be dragged.
                warnings.simplefilter("ignore", ConvergenceWarning)
                fitted.fit(points)
            value = float(fitted.bic(points))
            if value < lowest:
                best, lowest = fitted, value
        assert best is not None
        means = np.clip(best.means_, -PLANE_EXTENT, PLANE_EXTENT).round(3).tolist()
        masses = (best.weights_ * len(means)).clip(1e-3).round(3).tolist()
        return Mixture(means=means, variances=best.covariances_.clip(NARROWEST**2).round(5).tolist(), masses=masses)
