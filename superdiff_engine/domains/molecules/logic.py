r"""NOT and the exact AND of properties, by formulas of the log-densities: rows of docs/tables/molecules_logic.json.

    not/...   "high TPSA" but not "aromatic ring": shares that are polar and have no aromatic ring (RDKit)
    and/...   "high TPSA" and "high fraction sp3", which the paper's AND, average and joint are measured on in
              docs/tables/molecules.json: the product q_1 q_2 / q_0, which is the density of both where the
              properties are independent; q_0 is of no prompt, and average under guidance 2 has its score

Where a row is corrected to its exact target, ten particles of one size are one independent sample: shares are means
over each group by its particles' weights, and errors those of the mean over groups.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch

from ...recipes.document import CorrectionRecipe, Expert, GuidanceRecipe, Levels, Recipe
from ...recipes.operators import AverageRecipe, FormulaRecipe, OperatorRecipe, SingleRecipe
from ...tables.markdown import Column, Layout
from ...tables.table import Row, Value
from ...walk import walk
from .arrays import DecodedMolecules
from .checks import first_of_their_kind, satisfied
from .domain import WHOLE, Molecules, words_of
from .measures import normalised
from .properties import Term
from .reference import Reference

#: Of a group.
PARTICLES = 10
#: What the rows of a group are to satisfy: two terms.
ASKED = {"not": ("high TPSA", "no aromatic ring"), "and": ("high TPSA", "high fraction sp3")}


@dataclass(frozen=True)
class Method:
    """How a row is sampled.

    Attributes:
        title: for people.
        prompts: of the experts.
        operator: of these.
        guidance: its weight; 1 for none.
        negative: what guidance leads away from; "" for no prompt.
        corrected: whether to the exact target, by groups of PARTICLES.
    """

    title: str
    prompts: tuple[str, ...]
    operator: OperatorRecipe
    guidance: float
    negative: str = ""
    corrected: bool = False


_NOT, _AND = ("high TPSA", "aromatic ring"), ("high TPSA", "high fraction sp3")
_BUT_NOT = FormulaRecipe(text="1 but not 2")
METHODS: dict[str, Method] = {
    "not/kept": Method('"high TPSA" alone, guidance 4', _NOT[:1], SingleRecipe(), 4.0),
    "not/negative": Method('negative prompt "aromatic ring", guidance 4', _NOT[:1], SingleRecipe(), 4.0, _NOT[1]),
    "not/plain": Method('**"high TPSA" but not "aromatic ring"**, no guidance', _NOT, _BUT_NOT, 1.0),
    "not/corrected": Method("the same, **corrected**", _NOT, _BUT_NOT, 1.0, corrected=True),
    "and/product": Method("product over no prompt (average, guidance 2)", _AND, AverageRecipe(), 2.0),
    "and/product_corrected": Method("the same, **corrected**", _AND, AverageRecipe(), 2.0, corrected=True),
}
ROWS = tuple(METHODS)
LAYOUT = Layout(
    columns=[
        Column("both", "both satisfied", digits=1, percent=True),
        Column("first", "high TPSA", digits=1, percent=True),
        Column("second", "the other", digits=1, percent=True),
        Column("minimum", "lower of the two"),
        Column("valid", "valid", digits=1, percent=True),
        Column("distinct", "distinct among the valid", digits=1, percent=True),
        Column("effective", f"effective sample size, of {PARTICLES}", digits=1),
        Column("ancestors", f"distinct first particles, of {PARTICLES}", digits=1),
    ],
    row_titles={name: method.title for name, method in METHODS.items()},
)
LAYOUTS = {"molecules_logic": LAYOUT}


def whole_groups(batch: int) -> int:
    """As many molecules, made up to whole groups of particles."""
    return math.ceil(batch / PARTICLES) * PARTICLES


def recipe_of(row: str, steps: int, batch: int, seed: int) -> Recipe:
    """The recipe of a chunk; its batch is made up to whole groups of particles."""
    method = METHODS[row]
    guidance = GuidanceRecipe(weight=method.guidance, negative_prompt=method.negative)
    return Recipe(
        domain="molecules",
        experts=[Expert(model=WHOLE, prompt=prompt) for prompt in method.prompts],
        operator=cast(Any, method.operator),
        levels=Levels(steps=steps),
        solver="euler",
        batch=whole_groups(batch),
        seed=seed,
        device="cpu",
        guidance=None if method.guidance == 1 else guidance,
        correction=CorrectionRecipe(particles=PARTICLES) if method.corrected else None,
    )


def draw(recipe: Recipe) -> dict[str, np.ndarray]:
    """The decoded arrays of a recipe's molecules, and beside them

    importance [batch], the weights of a group's particles, which sum to 1 over the group (of one, without a
    correction); effective [groups], the mean over the levels of its effective sample size, in particles; ancestors
    [groups], how many particles of the first level its last ones come from; and seconds.
    """
    started = time.monotonic()
    domain = Molecules()
    prepared = domain.prepare(recipe, "cpu")
    first, effective = torch.arange(recipe.batch), []
    for step in walk(recipe, domain, prepared, densities=False):
        if step.effective is not None:
            effective.append(step.effective)
        if step.parents is not None:
            first = first[step.parents]
    weights = torch.zeros(recipe.batch) if step.log_importance is None else step.log_importance
    return domain.decode(step, prepared.experts).arrays() | {
        "importance": torch.softmax(weights.view(-1, recipe.group).double(), 1).flatten().numpy(),
        "effective": torch.stack(effective).mean(0).numpy() if effective else np.ones(recipe.batch),
        "ancestors": np.array([len(set(one)) for one in first.view(-1, recipe.group).tolist()]),
        "seconds": np.array(time.monotonic() - started),
    }


def terms_of(row: str) -> list[Term]:
    """The two terms that the molecules of a row are to satisfy."""
    return [words_of(WHOLE).parse(prompt)[0] for prompt in ASKED[row.partition("/")[0]]]


def row_of(
    name: str, arrays: dict[str, np.ndarray], reference: Reference, terms: Sequence[Term], weights: str, workers: int
) -> Row:
    """A row of the arrays of all its chunks together.

    Args:
        name: of METHODS.
        arrays: as `draw` gives them.
        reference: facts about QM9.
        terms: two, of `terms_of`.
        weights: a digest of the model's.
        workers: processes that sampled side by side.
    """
    molecules = DecodedMolecules.among(arrays)
    one, other = (satisfied([term], molecules.properties) for term in terms)
    lower = np.min([normalised(term, molecules.properties, reference) for term in terms], axis=0)
    of_each = {"both": one & other, "first": one, "second": other, "minimum": lower, "valid": molecules.valid}
    groups = len(arrays["ancestors"])
    values = {key: _mean((each * arrays["importance"]).reshape(groups, -1).sum(1)) for key, each in of_each.items()}
    values["distinct"] = Value(value=float(first_of_their_kind(molecules).sum() / max(1, molecules.valid.sum())))
    if METHODS[name].corrected:
        values |= {key: _mean(arrays[key].astype(float)) for key in ("effective", "ancestors")}
    return Row(
        name=name,
        weights=weights,
        samples=len(arrays["atoms"]),
        seconds=round(float(arrays["seconds"]) / workers, 1),
        values=values,
    )


def _mean(values: np.ndarray) -> Value:
    """The mean of independent values with its standard error."""
    error = float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else None
    return Value(value=float(values.mean()), error=error)
