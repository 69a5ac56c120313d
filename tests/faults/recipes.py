"""Mutated recipes and links: each is a recipe or one sentence; what is a recipe stands in the form, and runs."""

from __future__ import annotations

import json
import random
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from studio.form.to_recipe import document
from studio.form.to_widgets import terms_of, unshown, widget_values
from superdiff_engine.domains import domains
from superdiff_engine.domains.checked import make_recipe, parse_recipe, recipe_from_link
from superdiff_engine.errors import RecipeError, SuperDiffError
from superdiff_engine.recipes.document import Recipe
from superdiff_engine.runs.run import Run

from .ledger import Broken, Ledger, check_sentence, walk
from .mutate import generator, mutate_bytes, mutate_document, odd_value

#: Recipes that say every field there is, beside the examples.
FULL: list[dict[str, Any]] = [
    {
        "version": 1,
        "domain": "plane",
        "experts": [
            {"model": "ring"},
            {"model": "custom", "mixture": {"means": [[0, 1], [-2.5, 2]], "variances": [0.1, 2], "masses": [1, 3]}},
        ],
        "operator": {"name": "or", "temperature": 2.0, "bias": [0.5, -1]},
        "levels": {"steps": 20, "spacing": "log", "highest": 10.0, "lowest": 0.05, "rho": 3},
        "solver": "ancestral",
        "estimator": "hutchinson",
        "noise_scale": 0.5,
        "batch": 8,
        "seed": 7,
        "device": "cpu",
        "dtype": "float32",
    },
    {
        "domain": "prompts",
        "experts": [{"model": "emoji", "prompt": "a red apple"}, {"model": "emoji", "prompt": "a cat"}],
        "operator": {"name": "and", "bias": [0, 1], "ridge": 0.5, "lowest": 1.5},
        "guidance": {"weight": 4, "negative_prompt": "dark", "lowest": 0.1, "highest": 20},
        "pipeline": {"height": 64, "width": 64, "vae_slicing": True, "attention_slicing": True},
        "dtype": "bfloat16",
    },
    {
        "domain": "molecules",
        "experts": [{"model": "molecules", "prompt": "high logP, aromatic ring"}, {"model": "molecules", "prompt": ""}],
        "operator": {"name": "fixed", "weights": [0.25, 0.75]},
        "guidance": {"weight": 2},
        "atoms": 9,
        "per_component": True,
    },
    {
        "domain": "proteins",
        "experts": [{"model": "proteins_alpha"}, {"model": "proteins_beta"}],
        "operator": {"name": "coin_flip", "bias": [0, 0.5]},
        "residues": 30,
        "noise_scale": 0.7,
    },
    {"domain": "pictures", "experts": [{"model": "garments_a"}], "operator": {"name": "single", "index": 0}},
]
_CHOICES: dict[str, list[Any]] = {
    "domain": ["plane", "pictures", "prompts", "molecules", "proteins"],
    "solver": ["euler", "ancestral", "ode", "ode_heun"],
    "estimator": ["ito", "trapezoid", "hutchinson", "exact"],
    "noise_scale": [1, 0.1, 0.5, 0.99],
    "device": ["auto", "cpu", "cuda", "mps"],
    "dtype": ["float32", "float16", "bfloat16"],
    "per_component": [True, False],
    "atoms": [None, 3, 9, 29],
    "residues": [None, 30, 500],
    "operator": [
        *({"name": name} for name in ("or", "and", "average", "single", "coin_flip")),
        {"name": "formula", "text": "1 and not 2"},
        {"name": "formula", "text": "2*1"},
    ],
    "correction": [None, {}, {"particles": 2, "threshold": 1}, {"particles": 3, "lowest": 2, "highest": 1}],
    "levels": [
        {"steps": 1},
        {"steps": 2, "highest": 1.0000000000000002, "lowest": 1.0},
        {"highest": 1.0000000000000002},
    ],
    "guidance": [None, {"weight": 0}, {"weight": 100, "lowest": 0, "highest": 1e-9}],
    "pipeline": [None, {"height": 8, "width": 4096}, {"vae_tiling": True}],
}
#: Domains whose runs take long are run more rarely.
_RUN_SHARES = {"plane": 1.0, "molecules": 0.2, "proteins": 0.2, "pictures": 0.2, "prompts": 0.2}


@cache
def bases() -> list[dict[str, Any]]:
    """The examples of all domains and `FULL`, as documents."""
    examples = [recipe for domain in domains().values() for recipe in domain.examples().values()]
    return FULL + [recipe.model_dump(mode="json") for recipe in examples]


@cache
def edges() -> list[float]:
    """Every bound that a recipe's field has."""
    found: set[float] = set()

    def look(node: Any) -> None:
        for key, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
            if isinstance(value, int | float) and ("imum" in str(key) or "Length" in str(key) or "Items" in str(key)):
                found.add(value)
            look(value)

    look(Recipe.model_json_schema())
    return sorted(found)


def text_of(seed: int, number: int) -> tuple[str, str | bytes]:
    """The mutated recipe of a case: ("json" or "link", what is given)."""
    rng = generator(seed, number)
    document: Any = rng.choice(bases())
    kind = rng.randrange(12)
    if kind < 6:
        for _ in range(rng.choice([1, 1, 1, 2, 3])):
            document = mutate_document(rng, document, edges())
    elif kind < 9:
        document = _combined(rng, document)
    text = json.dumps(document, ensure_ascii=rng.random() < 0.5)
    if kind == 9:
        return "json", mutate_bytes(rng, text.encode("utf-8", "surrogatepass"))
    if kind == 10:
        return "json", _odd_text(rng, document, text)
    if kind == 11:
        link = make_recipe(document).to_link()
        if rng.random() < 0.1:
            return "link", rng.choice([link * 1000, "", "=" * 9, "A" * 70_000, "é" + link, link + "\n"])
        return "link", mutate_bytes(rng, link.encode()).decode("latin-1")
    return "json", text


def _combined(rng: random.Random, document: dict[str, Any]) -> dict[str, Any]:
    """Settings of all domains thrown together."""
    fields = rng.sample(sorted(_CHOICES), rng.randrange(1, 6))
    models = [info.id for domain in domains().values() for info in domain.models()]
    changed = document | {field: rng.choice(_CHOICES[field]) for field in fields}
    if rng.random() < 0.3:
        models += ["hub/google/ddpm-cifar10-32", "local/none", "custom", "emoji/x", "a b", "../x"]
        changed["experts"] = [{"model": rng.choice(models)} for _ in range(rng.choice([1, 2, 8, 9]))]
    return changed


def _odd_text(rng: random.Random, document: dict[str, Any], text: str) -> str | bytes:
    """Texts that are hardly JSON, or JSON as nobody writes it."""
    key = rng.choice(sorted(document))
    doubled = f'{text[:-1]}, "{key}": {json.dumps(odd_value(rng, edges()))}}}'
    deep = "[" * rng.choice([100, 5000, 20_000]) + "]" * rng.choice([0, 100])
    return rng.choice(
        [
            doubled,
            doubled,
            doubled,
            f'{text[:-1]}, "{key}": {deep}}}',
            f'{text[:-1]}, "seed": {"9" * rng.choice([20, 5000])}}}',
            text.replace('"batch": ', '"batch": 1e', 1),
            text.encode(rng.choice(["utf-16", "utf-8-sig", "utf-32", "cp037"])),
            text + rng.choice(["", "\n", "\0", "x", text, " " * 70_000]),
            text.replace('"', "'"),
            rng.choice(["", "null", "[]", "1", '"x"', "NaN", "{}", "{", "\ufeff{}", "true", deep]),
        ]
    )


def parsed(seed: int, number: int) -> Recipe | None:
    """The recipe of a case; None where it was refused. Raises Broken if the refusal is no sentence."""
    kind, text = text_of(seed, number)
    try:
        return recipe_from_link(str(text)) if kind == "link" else parse_recipe(text)
    except RecipeError as error:
        check_sentence(str(error))
        return None


def check_parsing(seed: int, number: int) -> str:
    """A recipe comes back the same from its JSON and its link, and stands in the form; or there was a sentence."""
    recipe = parsed(seed, number)
    if recipe is None:
        return "one sentence"
    if parse_recipe(recipe.to_json()) != recipe or recipe_from_link(recipe.to_link()) != recipe:
        raise Broken("comes back changed from JSON or a link")
    form = widget_values(recipe, 0)
    problem = unshown(recipe, form)
    if problem:
        check_sentence(problem)
        return "a recipe, of which the form says what it cannot show"
    try:
        shown = make_recipe(document(form))
    except SuperDiffError as error:
        check_sentence(str(error))
        return "a recipe, of which the form says what it cannot show"
    if shown != recipe and not _same_run(shown, recipe):
        raise Broken("the form makes another run of it, and does not say so")
    return "a recipe"


def _same_run(shown: Recipe, recipe: Recipe) -> bool:
    """Whether two recipes differ only in what says nothing: blanks around prompts, biases that are all zero."""

    def plain(one: Recipe) -> dict[str, Any]:
        document = one.model_dump(exclude_none=True, exclude={"guidance", "pipeline"})
        for expert in document["experts"]:
            expert["prompt"] = ", ".join(terms_of(expert.get("prompt")))
            if "mixture" in expert:
                expert["mixture"].setdefault("masses", [1.0] * len(expert["mixture"]["means"]))
        if not any(document["operator"].get("bias", [])):
            document["operator"].pop("bias", None)
        return document

    return plain(shown) == plain(recipe)


def tiny(recipe: Recipe, number: int) -> Recipe:
    """The recipe with 1 to 3 samples and steps (2 particles), and nothing that needs much memory or a compiler."""
    changes: dict[str, Any] = {
        "batch": min(recipe.batch, 1 + number % 3),
        "levels": recipe.levels.model_copy(update={"steps": min(recipe.levels.steps, 1 + number // 3 % 3)}),
    }
    if recipe.correction is not None:
        # A group of particles has two at least.
        changes |= {"batch": 2, "correction": recipe.correction.model_copy(update={"particles": None})}
    if recipe.pipeline is not None:
        small = {
            name: min(64, side) if (side := getattr(recipe.pipeline, name)) else None for name in ("height", "width")
        }
        changes["pipeline"] = recipe.pipeline.model_copy(update=small | {"compile": False})
    return recipe.model_copy(update=changes)


def check_run(seed: int, number: int) -> str:
    """The recipe of a case, made tiny, ends with a whole record and says how."""
    recipe = parsed(seed, number)
    assert recipe is not None, "only recipes are run"
    with tempfile.TemporaryDirectory() as name:
        run = Run(tiny(recipe, number), Path(name) / "run")
        try:
            run.execute()
        except SuperDiffError as error:
            check_sentence(str(error))
        check_record(run)
        return f"{recipe.domain}: {'refused' if run.state == 'failed' else run.state}"


def check_record(run: Run) -> None:
    """Raise Broken unless a run's folder holds its record, whole."""
    assert run.folder is not None
    status = json.loads((run.folder / "status.json").read_text())
    if status["state"] != run.state or run.state not in ("done", "failed", "cancelled"):
        raise Broken(f"status.json says {status['state']}, the run {run.state}")
    if parse_recipe((run.folder / "recipe.json").read_bytes()) != run.recipe:
        raise Broken("recipe.json is another recipe")
    if partial := [path.name for path in run.folder.rglob("*.partial")]:
        raise Broken(f"left behind: {partial}")
    if run.state == "done":
        with np.load(run.folder / "samples.npz", allow_pickle=False) as stored:
            if parse_recipe(str(stored["recipe"])) != run.recipe:
                raise Broken("samples.npz is of another recipe")
            for array in (
                "log_density",
                "weights",
                *(key for key in stored if key.startswith(("samples", "denoised"))),
            ):
                if not np.isfinite(stored[array]).all():
                    raise Broken(f"done, with a {array} that is not finite")
        pq.read_table(run.folder / "trace.parquet")


def check(seed: int, numbers: list[int], runs: int, command: str) -> list[Ledger]:
    """All cases, then `runs` of those that are recipes, run tiny."""
    parsing = walk(Ledger("recipes", command), numbers, lambda number: check_parsing(seed, number), limit=10)
    rng, valid = generator(seed, -1), []
    for number in numbers:
        share = rng.random()
        try:
            recipe = parsed(seed, number)
        except Broken:
            continue
        if recipe is not None and share < _RUN_SHARES[recipe.domain]:
            valid.append(number)
    chosen = sorted(rng.sample(valid, min(runs, len(valid))))
    running = walk(
        Ledger("recipes, run", command), chosen, lambda number: check_run(seed, number), limit=90, memory=4096
    )
    return [parsing, running]
