"""The samples of the formulas, kept beside this file: the pages of the guide show them at once.

`python -m superdiff_engine.domains.plane.formula_samples` makes them anew (about a minute), after a change of a recipe
of theirs or of the engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch

from ...correction import normalised, systematic
from ...domain import FormulaPage
from ...geometry import whole
from ...recipes.document import Recipe
from ...walk import walk
from ..experts import of_kind
from .distance import distance, target_of
from .domain import DOMAIN, to_view
from .formula_pages import FORMULA_PAGES
from .mixture import GaussianMixture

#: Where they lie.
FILE = Path(__file__).with_name("formula_samples.npz")
#: Samples that are kept of each run, and steps to a unit of the plane.
KEPT, _STEPS = 1200, 4096


@dataclass(frozen=True, eq=False)
class FormulaSamples:
    """What the recipe of a page made.

    Attributes:
        recipe: the recipe, as JSON.
        plain: float32 [KEPT, 2], of the run without correction.
        corrected: likewise with it, drawn by their weights; none without a target.
        plain_distance: total variation from the exact target without correction, 0 to 1; NaN without a target.
        corrected_distance: with it.
        floor: of as many exact samples.
        effective: the effective sample size at the end.
        resampled: how often particles were resampled.
    """

    recipe: str
    plain: np.ndarray
    corrected: np.ndarray
    plain_distance: float
    corrected_distance: float
    floor: float
    effective: float
    resampled: int


@cache
def read_samples(path: Path = FILE) -> dict[str, FormulaSamples]:
    """Those of all of them, by their keys."""
    with np.load(path) as arrays:
        keys = [name.removesuffix(".recipe") for name in arrays.files if name.endswith(".recipe")]
        return {key: _read(arrays, key) for key in keys}


def _read(arrays: Mapping[str, np.ndarray], key: str) -> FormulaSamples:
    plain, corrected = (arrays[f"{key}.{part}"].astype(np.float32) / _STEPS for part in ("plain", "corrected"))
    before, after, floor, effective, resampled = arrays[f"{key}.figures"].tolist()
    recipe = str(arrays[f"{key}.recipe"])
    return FormulaSamples(recipe, plain, corrected, before, after, floor, effective, int(resampled))


def make_samples(page: FormulaPage) -> FormulaSamples:
    """Run a page's recipe with and without its correction."""
    plain, plain_distance, _, _, _ = _run(page.plain)
    if page.recipe.correction is None:
        nothing = float("nan")
        return FormulaSamples(page.recipe.to_json(), plain, plain[:0], nothing, nothing, nothing, nothing, 0)
    corrected, far, floor, effective, resampled = _run(page.recipe)
    return FormulaSamples(page.recipe.to_json(), plain, corrected, plain_distance, far, floor, effective, resampled)


def _run(recipe: Recipe) -> tuple[np.ndarray, float, float, float, int]:
    """Samples to show, total variation, its floor, effective sample size, and the number of resamplings."""
    prepared, resampled = DOMAIN.prepare(recipe, "cpu"), 0
    for step in walk(recipe, DOMAIN, prepared):
        resampled += step.parents is not None
    samples, target = whole(step.samples).numpy(), target_of(recipe)
    chosen = np.arange(len(samples))
    importance = None
    if step.log_importance is not None:
        shares = normalised(step.log_importance)
        importance = shares.numpy()
        draws = systematic(shares, torch.Generator().manual_seed(0))
        chosen = np.random.default_rng(0).permutation(np.repeat(chosen, draws.numpy()))
    shown = samples[chosen[:KEPT]].astype(np.float32)
    if target is None:
        return shown, float("nan"), float("nan"), float("nan"), resampled
    mixtures = of_kind(prepared.experts, GaussianMixture)
    far = distance(target, mixtures, samples, step.level, to_view(step.level), importance)
    effective = float(len(samples)) if importance is None else float(1 / np.square(importance).sum())
    return shown, far.samples, far.floor, effective, resampled


def write_samples(path: Path = FILE) -> None:
    """Make them all and write them."""
    torch.set_num_threads(DOMAIN.threads or 1)
    arrays: dict[str, np.ndarray] = {}
    for page in FORMULA_PAGES:
        made = make_samples(page)
        figures = (made.plain_distance, made.corrected_distance, made.floor, made.effective, made.resampled)
        arrays[f"{page.key}.recipe"] = np.array(made.recipe)
        arrays[f"{page.key}.plain"] = np.round(made.plain * _STEPS).astype(np.int16)
        arrays[f"{page.key}.corrected"] = np.round(made.corrected * _STEPS).astype(np.int16)
        arrays[f"{page.key}.figures"] = np.array(figures)
        print(f"{page.key:10} plain {figures[0]:.3f} corrected {figures[1]:.3f} floor {figures[2]:.3f}", flush=True)
    np.savez_compressed(path, allow_pickle=False, **arrays)
    print(f"Wrote {path}")


if __name__ == "__main__":
    write_samples()
