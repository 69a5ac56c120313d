"""The folder of the concept classifier: float16 weights, config and card."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from safetensors.torch import save

from ....system.files import write_whole
from ....training.task import TrainingFacts
from ..emoji.concepts import Concept
from ..emoji.saving import SCORER
from .classifier import SIDE, ConceptClassifier
from .material import DESIGNS, FEATURES_PACKAGE


def save_scorer(
    network: ConceptClassifier,
    concepts: Sequence[Concept],
    measured: dict[str, dict[str, float]],
    left_out: dict[str, float],
    facts: TrainingFacts,
    folder: Path,
) -> None:
    """Write float16 weights, config and model card into `folder`; raises OutputError when a file cannot be written."""
    config = {
        "architecture": "superdiff_engine.domains.prompts.judge.classifier.ConceptClassifier",
        "designs": [source.style for source in DESIGNS],
        "held_out": measured,
        "left_out_designs": left_out,
        "temperature": round(float(network.temperature), 4),
        "training": facts.model_dump() | {"minutes": round(facts.minutes, 1), "loss": round(facts.loss, 4)},
        "concepts": [{"id": one.id, "name": one.name, "kind": one.kind} for one in concepts],
    }
    folder.mkdir(parents=True, exist_ok=True)
    half = {
        name: (value.half() if value.is_floating_point() else value).contiguous()
        for name, value in network.state_dict().items()
    }
    write_whole(folder / "model.safetensors", save(half))
    write_whole(folder / "config.json", (json.dumps(config, indent=1, ensure_ascii=False) + "\n").encode())
    write_whole(folder / "README.md", _card(network, len(concepts), measured, left_out, facts).encode())


def _card(
    network: ConceptClassifier,
    concepts: int,
    measured: dict[str, dict[str, float]],
    left_out: dict[str, float],
    facts: TrainingFacts,
) -> str:
    parameters = sum(value.numel() for value in network.parameters()) / 1e6
    titles = {"strict": "noto and twemoji: other artists", "young": "of these, concepts that only Fluent color taught"}
    titles |= {"pairs": "of these, the concepts of the 20 pairs", "overall": "all four styles"}
    shares = "\n".join(
        f"| {titles.get(name, name)} | {share['pictures']:,} | {share['top1']:.1%} | {share['top5']:.1%} |"
        for name, share in measured.items()
    )
    sources = "\n".join(
        f"| {one.title} | {one.package} {one.version} | {one.licence} | {one.credit} |" for one in DESIGNS
    )
    return f"""# Emoji scorer

The judge behind `superdiff evaluate prompts`: log-probabilities of {concepts} concepts for a picture of an emoji. It is
not CLIP: it knows no text and nothing but emoji.

| | |
| --- | --- |
| Network | EfficientNet-Lite0 (arXiv 1905.11946) at {SIDE} x {SIDE} pixels, {parameters:.1f} million parameters |
| Start | ImageNet features, PyPI package {FEATURES_PACKAGE} (Apache-2.0) |
| Training | {facts.steps:,} steps of {facts.batch} pictures, {facts.minutes:.0f} minutes on {facts.hardware} |
| Temperature | {float(network.temperature):.3f}, fitted on {left_out["pictures"]:.0f} designs left out of training \
(undistorted: top-1 {left_out["top1"]:.1%}, top-5 {left_out["top5"]:.1%}) |

## Accuracy on the generator's designs, which it has never seen

| pictures | count | top-1 | top-5 |
| --- | --- | --- | --- |
{shares}

## Data: designs that the generator has never seen

| set | npm package | licence | credit |
| --- | --- | --- | --- |
{sources}

Pictures were turned, moved, scaled, mirrored, recoloured, blurred and roughened. The weights are offered under
CC-BY-4.0, the strictest of these licences: credit the sets above.

## Limits

"flat" and "3d" are by the artists of Fluent "color", so that accuracy on them flatters it. Concepts that differ in
little (hearts by colour, faces by a mouth, three books) are easily confused; of a picture of two things it sees the
plainer one first.

Made by `superdiff train {SCORER}`.
"""
