"""The folders of the embedded text-to-image model: parts in float16, superdiff.json, model card; and sheets of it."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw
from torch import Tensor, nn

from ....errors import ModelError
from ....system.assets import assets_folder
from ....system.files import write_whole
from ....training.task import TrainingFacts
from .captions import STYLE_WORDS, known_words, with_article
from .concepts import Concept
from .networks import TextToLatent, encode, parameters_of, scheduler
from .rendering import SIZE
from .sets import GENERATOR_SETS, LABELS

#: Names of the folders of autoencoder, whole model and judge.
VAE, EMOJI, SCORER = "emoji_vae", "emoji", "emoji_scorer"
#: Below it is a model that does not meet its bar yet: a training can take it up, the studio does not offer it.
UNFINISHED = "unfinished"


@torch.no_grad()
def vae_in_half(vae: Any, pictures: Tensor) -> Any:
    """A float32 autoencoder whose weights went through float16, after a test that it can also compute in float16.

    Raises:
        ModelError: when float16 overflows on these pictures [count, 3, 128, 128].
    """
    latents = encode(vae, pictures)
    half = copy.deepcopy(vae).half()
    if not bool(torch.isfinite(half.decode(latents.half()).sample).all()):
        raise ModelError("The autoencoder overflows in float16; train it longer or with a larger weight decay.")
    return half.float()


def load_vae(folder: Path | None = None) -> Any:
    """The trained autoencoder, float32: of `folder`, or one by itself, the model's own, the unfinished model's own.

    Raises:
        ModelError: when there is none.
    """
    from diffusers import AutoencoderKL

    folder = _vae_folder() if folder is None else folder
    if not (folder / "config.json").is_file():
        raise ModelError(f"There is no trained autoencoder in {folder}; run 'superdiff train {VAE}' first.")
    vae: Any = AutoencoderKL.from_pretrained(folder, use_safetensors=True, low_cpu_mem_usage=False)
    return vae.eval().requires_grad_(False)


def load_vae_figures() -> dict[str, Any]:
    """What is known of the training of the autoencoder that `load_vae` gives; nothing where that is not written."""
    folder = _vae_folder()
    alone, model = folder / "figures.json", folder.parent / "superdiff.json"
    if alone.is_file():
        return json.loads(alone.read_text(encoding="utf-8"))
    return json.loads(model.read_text(encoding="utf-8")).get("autoencoder", {}) if model.is_file() else {}


def _vae_folder() -> Path:
    alone = assets_folder() / VAE
    return next((place for place in (alone, *(one / "vae" for one in _models())) if place.is_dir()), alone)


def _models() -> tuple[Path, Path]:
    """Where the model is, if it is finished, and if it is not."""
    return assets_folder() / EMOJI, assets_folder() / UNFINISHED / EMOJI


def begun_model(target: Path) -> Path:
    """The folder of the model that a training can take up: in `target`, or else the unfinished one."""
    return next((place for place in (target, _models()[1]) if (place / "model_index.json").is_file()), target)


def build_pipeline(network: TextToLatent, vae: Any, tokenizer: Any) -> Any:
    """A StableDiffusionPipeline of the parts, without a safety checker (there is nothing but emoji)."""
    from diffusers import StableDiffusionPipeline

    pipeline: Any = StableDiffusionPipeline(
        vae=vae,
        text_encoder=network.text,
        tokenizer=tokenizer,
        unet=network.unet,
        scheduler=scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def sample_sheet(
    source: Path | Any,
    prompts: Sequence[str],
    path: Path,
    guidance: float = 4.0,
    steps: int = 25,
    each: int = 6,
    seed: int = 0,
) -> Path:
    """A contact sheet by plain diffusers: one row for each prompt, the prompt beside its pictures.

    Args:
        source: a pipeline, or its folder.
        prompts: to draw.
        path: of the PNG to write.
        guidance: weight of classifier-free guidance, in diffusers' convention (1: none).
        steps: of the pipeline's own scheduler.
        each: pictures of every prompt.
        seed: of the noise.
    """
    pipeline: Any = load_pipeline(Path(source)) if isinstance(source, str | Path) else source
    label = 200
    sheet = Image.new("RGB", (label + each * SIZE, len(prompts) * SIZE), "white")
    draw = ImageDraw.Draw(sheet)
    for row, prompt in enumerate(prompts):
        generator = torch.Generator().manual_seed(seed)
        images = pipeline(
            [prompt] * each, guidance_scale=guidance, num_inference_steps=steps, generator=generator
        ).images
        draw.text((4, row * SIZE + SIZE // 2 - 6), prompt[:32], fill="black")
        for column, image in enumerate(images):
            sheet.paste(image, (label + column * SIZE, row * SIZE))
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)
    return path


def load_pipeline(folder: Path) -> Any:
    """The finished model as diffusers' own StableDiffusionPipeline; raises ModelError where there is none."""
    from diffusers import StableDiffusionPipeline

    if not (folder / "model_index.json").is_file():
        raise ModelError(f"There is no text-to-image model in {folder}; run 'superdiff train {EMOJI}' first.")
    pipeline: Any = StableDiffusionPipeline.from_pretrained(folder, safety_checker=None, use_safetensors=True)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def load_facts(folder: Path) -> TrainingFacts:
    """How the finished model in a folder was trained."""
    return TrainingFacts.model_validate(json.loads((folder / "superdiff.json").read_text(encoding="utf-8"))["training"])


def save_vae(folder: Path, vae: Any, figures: dict[str, Any]) -> None:
    """Write an autoencoder's folder: float16 safetensors, the model card, and `figures` of its training as JSON."""
    half = copy.deepcopy(vae)
    nn.Module.to(half, dtype=torch.float16, memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    half.save_pretrained(folder, safe_serialization=True)
    _readable(folder)
    _tidy_settings(folder)
    write_whole(folder / "README.md", _vae_card(figures, folder).encode())
    write_whole(folder / "figures.json", (json.dumps(figures, indent=2) + "\n").encode())


def _readable(folder: Path) -> None:
    for weights in folder.rglob("*.safetensors"):
        weights.chmod(0o644)  # safetensors makes it readable for its owner only


def save_model(
    folder: Path,
    pipeline: Any,
    concepts: Sequence[Concept],
    preview: list[list[float]],
    facts: TrainingFacts,
    autoencoder: dict[str, Any],
) -> None:
    """Write the pipeline folder: float16 safetensors, superdiff.json and the model card.

    Args:
        folder: to write.
        pipeline: of float32 weights; it is not changed.
        concepts: the model was trained on.
        preview: map from latents to RGB, as `fit_preview` finds it.
        facts: of the training.
        autoencoder: figures of the autoencoder's own training.
    """
    parts = {name: copy.deepcopy(part) for name, part in pipeline.components.items() if isinstance(part, nn.Module)}
    for part in parts.values():
        nn.Module.to(part, dtype=torch.float16, memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    half = type(pipeline)(**{**pipeline.components, **parts}, requires_safety_checker=False)
    half.save_pretrained(folder, safe_serialization=True)
    _readable(folder)
    _copy_words(pipeline.tokenizer, folder / "tokenizer")
    _tidy_settings(folder)
    settings = {
        "title": "Emoji",
        "description": f"Draws {len(concepts)} emoji in four styles from a prompt, {SIZE} x {SIZE} pixels",
        "latent_rgb": preview,
        "styles": [words[0] for words in STYLE_WORDS.values()],
        "vocabulary": list(known_words(concepts)),
        "suggestions": sorted(with_article(concept.name) for concept in concepts),
        "concepts": [{"id": concept.id, "name": concept.name, "kind": concept.kind} for concept in concepts],
        "training": facts.model_dump(),
        "autoencoder": autoencoder,
    }
    write_whole(folder / "superdiff.json", (json.dumps(settings, ensure_ascii=False) + "\n").encode())
    write_whole(folder / "README.md", _card(folder, parts, len(concepts), facts, autoencoder).encode())


def _copy_words(tokenizer: Any, folder: Path) -> None:
    """vocab.json and merges.txt, which transformers 4 reads, beside the tokenizer.json that transformers 5 writes."""
    source = Path(tokenizer.name_or_path)
    for name in ("vocab.json", "merges.txt"):
        if (source / name).is_file():
            write_whole(folder / name, (source / name).read_bytes())


def _tidy_settings(folder: Path) -> None:
    """Take the places that parts were read from out of their settings: they mean nothing on another computer.

    The text encoder's settings ask for float32: diffusers reads its own networks in float32 unless told otherwise, but
    leaves it to transformers 5 to follow these settings, and a float16 text does not fit a float32 U-Net.
    """
    for path in folder.rglob("*config.json"):
        settings = json.loads(path.read_text(encoding="utf-8"))
        for key in ("_name_or_path", "name_or_path"):
            settings.pop(key, None)
        if "dtype" in settings:
            settings["dtype"] = "float32"
        write_whole(path, (json.dumps(settings, indent=2) + "\n").encode())


def _vae_card(figures: dict[str, Any], folder: Path) -> str:
    size = sum(file.stat().st_size for file in folder.glob("*.safetensors")) / 1e6
    return f"""# Emoji autoencoder

The autoencoder of the embedded text-to-image model of emoji: {SIZE} x {SIZE} RGB pictures to latents of 8 x 16 x 16
with mean 0 and variance 1. It is kept by itself until the model that is trained in its latents holds it.

| | |
| --- | --- |
| Network | AutoencoderKL, {size:.1f} MB, float16 |
{_vae_rows(figures)}
Data and licences: those of the model of emoji (Noto, Fluent, Twemoji; weights under CC-BY-4.0). No design was held out.

Made by `superdiff train {VAE}`{_refined_by(figures)}.
"""


def _vae_rows(figures: dict[str, Any]) -> str:
    """The rows of a card that tell how an autoencoder was trained, and how well it reconstructs."""
    rows = []
    if "steps" in figures:
        rows.append(
            f"| Autoencoder's training | {figures['minutes']:.3g} minutes on {figures['hardware']}: "
            f"{figures['steps']:,} steps of {figures['batch']} pictures (L1, edges, KL) |"
        )
    if "decoder" in figures:
        part = figures["decoder"]
        rows.append(
            f"| Then its decoder alone | {part['minutes']:.0f} minutes on {part['hardware']}: {part['steps']:,} steps "
            f"of {part['batch']}; {part['psnr_before']:.1f} dB before |"
        )
    if "psnr" in figures:
        rows.append(
            f"| Reconstruction | {figures['psnr']:.1f} dB PSNR on 256 augmented pictures that no step has drawn; "
            f"{figures['psnr_float16']:.1f} dB with float16 weights |"
        )
    return "".join(f"{row}\n" for row in rows)


def _refined_by(figures: dict[str, Any]) -> str:
    return f" and `superdiff train {VAE} --refine`" if "decoder" in figures else ""


def _card(
    folder: Path, parts: dict[str, nn.Module], concepts: int, facts: TrainingFacts, autoencoder: dict[str, Any]
) -> str:
    sizes = ", ".join(f"{name} {parameters_of(part) / 1e6:.2f}" for name, part in parts.items())
    total = sum(file.stat().st_size for file in folder.rglob("*.safetensors")) / 1e6
    sources = "\n".join(
        f"| {one.title} | {one.package} {one.version} | {one.licence} | {one.credit} |"
        for one in (*GENERATOR_SETS, LABELS)
    )
    return f"""# Emoji

A text-to-image model of emoji: a StableDiffusionPipeline of {SIZE} x {SIZE} pictures that SuperDiff Studio embeds.
Plain diffusers reads it: `StableDiffusionPipeline.from_pretrained("assets/emoji", safety_checker=None)`.

| | |
| --- | --- |
| Prompts | "a cat", "cat, 3d style", "a picture of a donut", ...: {concepts} emoji; styles {", ".join(STYLE_WORDS)} |
| Networks | million parameters: {sizes} |
| Files | {total:.1f} MB, float16 safetensors |
| Schedule | Stable Diffusion's (scaled linear betas, 1000 steps), v-prediction |
| Training | {facts.minutes:.3g} minutes on {facts.hardware}: {facts.steps:,} steps of {facts.batch} latents, \
last mean loss {facts.loss:.4f} |
{_vae_rows(autoencoder)}
## Data

| set | npm package | licence | credit |
| --- | --- | --- | --- |
{sources}

Pictures were scaled to {SIZE} x {SIZE} on white, shifted, scaled and, where they hold no letters, mirrored. The
model's weights are offered under CC-BY-4.0, the strictest of these licences: credit the sets above.

## Limits

It knows these emoji and nothing else: words outside its vocabulary (superdiff.json) mean nothing to it, and no caption
it has seen names two things. With about four drawings of each concept it remembers them rather than invents new ones.
Fine lines and small faces may blur.

Made by `superdiff train {VAE}`{_refined_by(autoencoder)} and `superdiff train {EMOJI}`.
"""
