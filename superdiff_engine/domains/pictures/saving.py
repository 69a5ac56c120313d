"""The folders of the embedded experts of garments: a diffusers pipeline in float16, superdiff.json and a model card."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ...system.files import write_whole
from ...tables.table import Table
from ...training.task import TrainingFacts
from ..sources import read_settings
from .data import CLASS_NAMES, EXPERT_CLASSES
from .model import WEIGHTS, PictureSettings, part_of, read_unet

#: Of a table's row, for the card.
_MEASURES = ("fashion_fid", "fashion_is")


def save_expert(name: str, unet: Any, facts: TrainingFacts, folder: Path, patch: int = 2) -> None:
    """Write an embedded expert as a diffusers pipeline folder, with superdiff.json and a model card.

    Weights are stored in float16 (half the size; `load_expert` computes in float32 all the same).

    Args:
        name: one of EXPERT_CLASSES.
        unet: trained with v-prediction on DDPM's linear schedule, on pixel-unshuffled pictures.
        facts: of its training, for the model card.
        folder: to write.
        patch: the factor of pixel_unshuffle.
    """
    from diffusers import DDPMPipeline, DDPMScheduler

    scheduler = DDPMScheduler(
        num_train_timesteps=1000, beta_schedule="linear", prediction_type="v_prediction", clip_sample=False
    )
    half = copy.deepcopy(unet)
    nn.Module.to(half, "cpu", torch.float16, memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    pipeline: Any = DDPMPipeline(half, scheduler)
    pipeline.save_pretrained(folder, safe_serialization=True)
    (folder / "unet" / WEIGHTS).chmod(0o644)  # safetensors makes it readable for its owner only
    classes = EXPERT_CLASSES[name]
    letters = name.removeprefix("garments_").upper()
    described = "all ten garments" if len(classes) == len(CLASS_NAMES) else ", ".join(CLASS_NAMES[i] for i in classes)
    size = int(unet.config.sample_size) * patch
    settings = PictureSettings(
        title=f"Garments {letters}",
        description=described[0].upper() + described[1:],
        pixel_unshuffle=patch,
        picture_shape=(int(unet.config.in_channels) // patch**2, size, size),
        classes=list(classes),
        training=facts,
    )
    write_whole(folder / "superdiff.json", (settings.model_dump_json(indent=2) + "\n").encode())
    write_card(folder, None)


def write_card(folder: Path, table: Table | None) -> None:
    """Write an embedded expert's README.md, from its superdiff.json and the rows of `table` (None: not measured)."""
    settings = read_settings(folder, PictureSettings)
    facts, name = settings.training, folder.name
    weights = part_of(folder, "unet") / WEIGHTS
    parameters = sum(value.numel() for value in read_unet(folder)[0].parameters())
    quality = "Not measured yet: run `superdiff evaluate pictures`."
    if table is not None:
        lines = ["| solver | samples | steps | Fashion-FID | Fashion-IS |", "| --- | --- | --- | --- | --- |"]
        for row in table.rows:
            if row.name.startswith(f"{name.removeprefix('garments_')}/"):
                fid, score = (f"{row.values[key].value:.2f} ± {row.values[key].error:.2f}" for key in _MEASURES)
                solver = row.name.rpartition("/")[2].upper()
                lines.append(f"| {solver} | {row.samples} | {table.steps} | {fid} | {score} |")
        quality = "\n".join(lines)
    garments = ", ".join(CLASS_NAMES[index] for index in settings.classes or [])
    trained = "unknown"
    if facts is not None:
        trained = (
            f"{facts.minutes:.0f} minutes on {facts.hardware}: {facts.steps:,} steps of {facts.batch} pictures, "
            f"last mean loss {facts.loss:.4f} (v-prediction)"
        )
    size = weights.stat().st_size / 1e6
    kinds = "five kinds of garment" if len(settings.classes or []) == 5 else "ten kinds of garment"
    card = f"""# {settings.title}

An unconditional diffusion model of garments ({settings.description}): a diffusers DDPM pipeline that
SuperDiff Studio embeds as the expert `{name}`.

| | |
| --- | --- |
| Data | Fashion-MNIST (arXiv 1708.07747), Debian package dataset-fashion-mnist: training pictures of these classes |
| Classes | {garments} |
| Licence | MIT (data and weights) |
| Network | UNet2DModel, {parameters / 1e6:.2f} million parameters, on pictures rearranged to 4 x 14 x 14 |
| File | {size:.1f} MB, float16 |
| Schedule | DDPM, linear betas, 1000 steps, v-prediction |
| Training | {trained} |

## Measured quality

{quality}

Fashion-FID and Fashion-IS use this project's own classifier (assets/garment_classifier): no published FID compares.

## Limits

28 x 28 grey pictures of {kinds}, after a short training on a CPU: some samples have frayed outlines or mix
two garments. A plain diffusers pipeline does not know of the rearranged pixels: apply
`torch.nn.functional.pixel_shuffle(x, {settings.pixel_unshuffle})` to its output.

Made by `superdiff train {name}`.
"""
    write_whole(folder / "README.md", card.encode())
