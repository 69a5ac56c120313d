"""What the concept scorer finds in a run's pictures of emoji: the concepts that its prompts name."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from ...measured import SHARE, Figure, Sampled
from .emoji.captions import caption_words
from .emoji.concepts import Concept
from .judge.classifier import load_classifier, log_probabilities

#: The probability from which on a concept counts as seen.
SEEN = 0.1


def named_concepts(prompts: Sequence[str], concepts: Sequence[Concept]) -> list[int]:
    """Which of the concepts the prompts name, in the order in which they do.

    A longer name goes before those that are part of it: "a teddy bear" is no bear.
    """
    ordered = sorted(range(len(concepts)), key=lambda place: -len(concepts[place].name))
    found: list[int] = []
    for prompt in prompts:
        left = f" {' '.join(caption_words(prompt))} "
        places: dict[int, int] = {}
        for place in ordered:
            name = " ".join(caption_words(concepts[place].name))
            match = re.search(rf" {re.escape(name)}(?= )", left)
            if match:
                places[place] = match.start()
                left = left[: match.start()] + " " + "." * (len(match.group()) - 1) + left[match.end() :]
        found += sorted(places, key=lambda place: places[place])
    return list(dict.fromkeys(found))


def figures_of(pictures: np.ndarray, prompts: Sequence[str], sampled: Sampled) -> list[Figure]:
    """The scores of pictures for the concepts that the prompts name; none where they name none.

    Args:
        pictures: uint8 [n, H, W, 3].
        prompts: of the run.
        sampled: what the pictures count for.

    Raises:
        ModelError: when the scorer is missing or damaged.
    """
    scorer = load_classifier()
    named = named_concepts(prompts, scorer.concepts)
    if not named:
        return []
    scores = log_probabilities(scorer.network, pictures).numpy()[:, named]
    seen = scores >= np.log(SEEN)
    found: list[Figure] = []

    def add(name: str, title: str, values: np.ndarray, main: bool, meaning: str) -> None:
        share = values.dtype == bool
        value, error = sampled.share(values) if share else sampled.mean(values)
        unit = SHARE if share else "nats"
        found.append(
            Figure(
                name=name, title=title, value=value, error=error, unit=unit, better="higher", main=main, meaning=meaning
            )
        )

    seeing = "How many pictures the embedded scorer, a classifier, finds the concept in: p(concept | picture) ≥ "
    how = "How surely the scorer finds the concept in a picture, log p(concept | picture); 0 is certain."
    names = [scorer.concepts[place].name for place in named]
    several = len(names) > 1
    for name, holds in zip(names, seen.T, strict=True):
        add(f"seen/{name}", f"scorer sees {name}", holds, True, f"{seeing}{SEEN:g}.")
    if several:
        add("seen_all", "scorer sees all of them", seen.all(1), True, f"{seeing}{SEEN:g}, of every concept.")
    for name, values in zip(names, scores.T, strict=True):
        add(f"score/{name}", f"log p({name} | picture)", values, not several, how)
    if several:
        add(
            "score_lowest",
            "lowest log p of them",
            scores.min(1),
            True,
            f"{how} Here of the concept that it sees least.",
        )
        add(
            "score_highest",
            "highest log p of them",
            scores.max(1),
            False,
            f"{how} Here of the concept that it sees most.",
        )
    return found
