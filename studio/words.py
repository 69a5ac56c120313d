"""The words of the studio: what the operators, solvers and estimators are called, and one plain line about each."""

from __future__ import annotations

from dataclasses import dataclass

from superdiff_engine.recipes.document import Recipe
from superdiff_engine.runs.wording import ESTIMATORS, SAVINGS, SOLVERS, differences, operator_words
from superdiff_engine.runs.wording import OPERATORS as TITLES

__all__ = ["ESTIMATORS", "OPERATORS", "SAVINGS", "SOLVERS", "SOURCES", "STATES", "Operator"]


@dataclass(frozen=True)
class Operator:
    """How an operator is shown: its title, one line in plain words, its formula (LaTeX), and what it asks for."""

    title: str
    line: str
    formula: str
    bias: str = ""  # what a bias means here; empty if the operator has none


OPERATORS: dict[str, Operator] = {
    "or": Operator(
        TITLES["or"],
        "Samples that at least one expert would make. The more likely an expert finds a sample, the more say it gets.",
        r"\kappa = \mathrm{softmax}(T \log q + \ell)",
        "Log-odds in nats. A bias of 1.1 makes an expert three times as likely to be chosen.",
    ),
    "and": Operator(
        TITLES["and"],
        "Samples that all experts find equally likely: the weights steer until the log-densities are level.",
        r"\log q_1 - \ell_1 = \log q_2 - \ell_2 = \ldots",
        "Offset in nats: an expert with a bias of 2 is held 2 nats more likely than one with 0.",
    ),
    "average": Operator(
        TITLES["average"],
        "All experts have the same say at every step. Simple, and often neither OR nor AND.",
        r"\kappa_i = 1 / M",
    ),
    "fixed": Operator(
        TITLES["fixed"],
        "You set the weights; they stay the same at every step and sum to 1.",
        r"\kappa_i = w_i, \quad \textstyle\sum_i w_i = 1",
    ),
    "single": Operator(
        TITLES["single"],
        "One expert makes the samples. The others only watch and report their log-density.",
        r"\kappa_i = 1, \quad \kappa_{j \neq i} = 0",
    ),
    "coin_flip": Operator(
        TITLES["coin_flip"],
        "Every sample is given to one expert by lot, from start to end. What OR should be at least as good as.",
        r"P(\kappa_i = 1) \propto e^{\ell_i}",
        "Log-odds in nats. A bias of 1.1 makes an expert three times as likely to be drawn.",
    ),
}

STATES: dict[str, str] = {
    "queued": "Waiting",
    "loading": "Loading the experts",
    "running": "Running",
    "done": "Finished",
    "cancelled": "Cancelled",
    "failed": "Stopped",
}

SOURCES: dict[str, str] = {
    "exact": "exact formula",
    "embedded": "embedded, trained here",
    "local": "a folder on this machine",
    "hub": "a model hub",
}


def run_title(recipe: Recipe) -> str:
    """A run in a few words: its operator, or the prompt where there is only one."""
    if len(recipe.experts) == 1 and recipe.experts[0].prompt is not None:
        return f"One prompt: {recipe.experts[0].prompt}"
    return operator_summary(recipe.operator)


def operator_summary(operator: object) -> str:
    """An operator of a recipe in a few words, for instance "OR, T = 2, bias 0, 1.1"."""
    return ", ".join(operator_words(operator))


def other_than_usual(recipe: Recipe) -> list[str]:
    """What differs from the domain's defaults and is not said by a heading's title and numbers."""
    return [words for place, words in differences(recipe).items() if place not in _STATED]


#: Places of a recipe that every heading names.
_STATED = {"levels.steps", "batch", "seed"}
