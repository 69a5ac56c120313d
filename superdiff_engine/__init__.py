"""The engine of SuperDiff Studio: compose pre-trained diffusion models with OR and AND, and watch their densities.

    from superdiff_engine import And, Or, karras_levels, sample

Reference: Skreta, Atanackovic, Bose, Tong, Neklyudov: The Superposition of Diffusion Models Using the Ito Density
Estimator, ICLR 2025, arXiv 2412.17762.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .compose import And, Average, CoinFlip, Composed, Fixed, Operator, Or, Prediction, Single
    from .correction import Correction
    from .errors import (
        ArgumentError,
        DensityError,
        ModelError,
        OutputError,
        RecipeError,
        ScoreError,
        StepError,
        SuperDiffError,
    )
    from .formula import Both, ButNot, Either, ExpertTerm, Formula, WeightedSum, Xor
    from .geometry import SO3, Centred, Euclidean, Geometry, Product
    from .likelihood import Likelihoods, estimate_log_density
    from .noise import VE, DiscreteVP, Flow, Schedule, karras_levels, log_levels, time_levels
    from .recipes.formulas import parse_formula
    from .runs.comparison import Comparison, compare
    from .runs.density_check import DensityCheck, check_densities
    from .sampling import Step, sample
    from .score import ConditionedScore, EDMScore, Guidance, NetworkScore, ScoreModel

__all__ = [
    "SO3",
    "VE",
    "And",
    "ArgumentError",
    "Average",
    "Both",
    "ButNot",
    "Centred",
    "CoinFlip",
    "Comparison",
    "Composed",
    "ConditionedScore",
    "Correction",
    "DensityCheck",
    "DensityError",
    "DiscreteVP",
    "EDMScore",
    "Either",
    "Euclidean",
    "ExpertTerm",
    "Fixed",
    "Flow",
    "Formula",
    "Geometry",
    "Guidance",
    "Likelihoods",
    "ModelError",
    "NetworkScore",
    "Operator",
    "Or",
    "OutputError",
    "Prediction",
    "Product",
    "RecipeError",
    "Schedule",
    "ScoreError",
    "ScoreModel",
    "Single",
    "Step",
    "StepError",
    "SuperDiffError",
    "WeightedSum",
    "Xor",
    "check_densities",
    "compare",
    "estimate_log_density",
    "karras_levels",
    "log_levels",
    "parse_formula",
    "sample",
    "time_levels",
]  # fmt: skip
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # Only when it is asked for: the command line listens to signals before torch is imported, which takes seconds.
    if name in __all__:
        for module in (
            "errors",
            "noise",
            "geometry",
            "formula",
            "compose",
            "correction",
            "score",
            "sampling",
            "likelihood",
            "recipes.formulas",
            "runs.density_check",
            "runs.comparison",
        ):
            home = import_module(f".{module}", __name__)
            if hasattr(home, name):
                return getattr(home, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _show_in_notebooks() -> None:
    """Tell IPython, where this is imported there, how results, runs and steps show themselves in a cell."""
    if "IPython" not in sys.modules:
        return
    shell = import_module("IPython").get_ipython()
    if shell is None:
        return

    def shown_by(name: str) -> Any:
        return lambda value: getattr(import_module(f"{__name__}.web.cells"), name)(value)

    formatter = shell.display_formatter.formatters["text/html"]
    for module, kind, name in (
        ("result", "Result", "result_html"),
        ("runs.run", "Run", "run_html"),
        ("underway", "Step", "step_html"),
    ):
        formatter.for_type_by_name(f"{__name__}.{module}", kind, shown_by(name))


_show_in_notebooks()
