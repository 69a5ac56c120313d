"""The words of the studio: what the operators, solvers and estimators are called, and one plain line about each."""

from __future__ import annotations

from dataclasses import dataclass

from superdiff_engine.recipe import Recipe


@dataclass(frozen=True)
class Operator:
    """How an operator is shown: its title, one line in plain words, its formula (LaTeX), and what it asks for."""

    title: str
    line: str
    formula: str
    bias: str = ""  # what a bias means here; empty if the operator has none


OPERATORS: dict[str, Operator] = {
    "or": Operator(
        "OR",
        "Samples that at least one expert would make. The more likely an expert finds a sample, the more say it gets.",
        r"\kappa = \mathrm{softmax}(T \log q + \ell)",
        "Log-odds in nats. A bias of 1.1 makes an expert three times as likely to be chosen.",
    ),
    "and": Operator(
        "AND",
        "Samples that all experts find equally likely: the weights steer until the log-densities are level.",
        r"\log q_1 - \ell_1 = \log q_2 - \ell_2 = \ldots",
        "Offset in nats: an expert with a bias of 2 is held 2 nats more likely than one with 0.",
    ),
    "average": Operator(
        "Average",
        "All experts have the same say at every step. Simple, and often neither OR nor AND.",
        r"\kappa_i = 1 / M",
    ),
    "fixed": Operator(
        "Fixed weights",
        "You set the weights; they stay the same at every step and sum to 1.",
        r"\kappa_i = w_i, \quad \textstyle\sum_i w_i = 1",
    ),
    "single": Operator(
        "One alone",
        "One expert makes the samples. The others only watch and report their log-density.",
        r"\kappa_i = 1, \quad \kappa_{j \neq i} = 0",
    ),
    "coin_flip": Operator(
        "Coin flip",
        "Every sample is given to one expert by lot, from start to end. What OR should be at least as good as.",
        r"P(\kappa_i = 1) \propto e^{\ell_i}",
        "Log-odds in nats. A bias of 1.1 makes an expert three times as likely to be drawn.",
    ),
}

SOLVERS: dict[str, str] = {
    "euler": "Euler-Maruyama (SDE)",
    "ancestral": "Ancestral (SDE)",
    "ode": "Euler (ODE, no noise)",
    "ode_heun": "Heun (ODE, no noise)",
}

ESTIMATORS: dict[str, str] = {
    "trapezoid": "Trapezoidal Itô (accurate, free)",
    "ito": "Itô (the paper's, free)",
    "hutchinson": "Hutchinson (one random probe)",
    "exact": "Exact trace (slow)",
}

#: Ways of a text-to-image pipeline to save memory or time, by their names in recipes.
SAVINGS: dict[str, str] = {
    "vae_slicing": "decode one picture at a time",
    "vae_tiling": "decode in tiles",
    "attention_slicing": "attention in slices",
    "cpu_offload": "CPU offload (needs CUDA)",
    "compile": "torch.compile (slow first step)",
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


def estimators_for(solver: str, domain: str, noise_scale: float = 1.0) -> list[str]:
    """The estimators that go with a solver: the Itô estimators need noise, the paper's all of it, the exact trace a
    small dimension.
    """
    fitting = ["hutchinson", "exact"] if solver.startswith("ode") else list(ESTIMATORS)
    return [name for name in fitting if (name != "exact" or domain == "plane") and (name != "ito" or noise_scale == 1)]


def run_title(recipe: Recipe) -> str:
    """A run in a few words: its operator, or the prompt where there is only one."""
    if len(recipe.experts) == 1 and recipe.experts[0].prompt is not None:
        return f"One prompt: {recipe.experts[0].prompt}"
    return operator_summary(recipe.operator)


def operator_summary(operator: object) -> str:
    """An operator of a recipe in a few words, for instance "OR, T = 2, bias 0 and 1.1"."""
    name = getattr(operator, "name", "")
    parts = [OPERATORS[name].title]
    if name == "or":
        parts.append(f"T = {operator.temperature:g}")  # type: ignore[attr-defined]
    if name == "and" and operator.ridge != 1:  # type: ignore[attr-defined]
        parts.append(f"ridge {operator.ridge:g}")  # type: ignore[attr-defined]
    if name == "and" and operator.lowest > 0:  # type: ignore[attr-defined]
        parts.append(f"down to s = {operator.lowest:g}")  # type: ignore[attr-defined]
    if name == "single":
        parts.append(f"expert {operator.index + 1}")  # type: ignore[attr-defined]
    if name == "fixed":
        parts.append(" : ".join(f"{value:g}" for value in operator.weights))  # type: ignore[attr-defined]
    bias = getattr(operator, "bias", None)
    if bias and any(bias):
        parts.append("bias " + ", ".join(f"{value:g}" for value in bias))
    return ", ".join(parts)
