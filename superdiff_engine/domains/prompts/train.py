"""Training of the embedded text-to-image model of emoji, on two CPU cores, in two stages that each can be resumed.

1. "emoji_vae": an autoencoder of 64 x 64 pictures. Afterwards the mean m_c and the deviation s_c of every latent
   channel c are measured and folded into its 1 x 1 convolutions, exactly:

       z'_c = (z_c - m_c) / s_c    (quant_conv)          z_c = s_c z'_c + m_c    (post_quant_conv)

   so latents have mean 0 and variance 1 in each channel, as the noise schedule assumes, with scaling_factor = 1.
   (Stable Diffusion's pipelines know one factor, and no shift.)

2. "emoji": text encoder and U-Net together, v-prediction in latents of augmented pictures that are encoded once. Before
   that the text encoder alone learns for two minutes which captions speak of one concept (InfoNCE, van den Oord et al.
   2018, arXiv 1807.03748), so that the U-Net sees texts that mean something from its first step.

Classifier-free guidance (Ho and Salimans 2022, arXiv 2207.12598) needs the empty prompt: a tenth of the captions.
"""

from __future__ import annotations

import copy
import json
import os
import platform
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from ...assets import assets_folder
from ...errors import ModelError
from ...noise import DiscreteVP
from ...run import write_whole
from ...training import TrainingPlan, TrainingProgress, checkpoints_folder, denoising_loss, train
from ..pictures.model import TrainingFacts
from .captions import (
    STYLE_WORDS,
    known_words,
    load_tokenizer,
    save_tokenizer,
    token_ids,
    training_captions,
    with_article,
)
from .emoji import GENERATOR_SETS, LABELS, SIZE, Concept, EmojiPictures, load_pictures
from .networks import TextToLatent, autoencoder, encode, parameters_of, scheduler, text_encoder, unet

VAE, EMOJI, SCORER = "emoji_vae", "emoji", "emoji_scorer"
#: Minutes on two CPU cores after which each model is as good as its card says.
MINUTES = {VAE: 40.0, EMOJI: 360.0, SCORER: 40.0}
TEXT_MINUTES = 2.0
#: Trainings longer than this compile the U-Net first: two and a half minutes, for steps that take 0.85 of the time.
COMPILE_MINUTES = 15.0
CHECKPOINTS = checkpoints_folder()
#: Augmented versions of every picture that are encoded before the training.
VERSIONS = 8
EMPTY_CAPTIONS = 0.1
#: Levels of training, log s ~ N(mean, deviation^2), for latents of variance 1. In that unit Karras et al. use -0.5 for
#: pixels (-1.2 with sigma_data 0.5, arXiv 2206.00364) and 0.3 for the latents of EDM2 (arXiv 2312.02696); these latents
#: are small and smooth, so between the two. Two deviations span s = 0.07 to 9 of the schedule's 0.03 to 14.6.
LOG_LEVEL = (-0.2, 1.2)


def augment(masters: Tensor, mirrored: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures [batch, 3, 64, 64] in [-1, 1] of masters uint8 [batch, 3, 128, 128], shifted and scaled at random.

    Args:
        masters: in RGB.
        mirrored: bool [batch], which ones to mirror.
        generator: of shifts (up to 3 pixels of the result each way) and scales (0.9 to 1.04).
    """
    count = len(masters)
    draws = torch.rand(count, 3, generator=generator)
    scale = 1 / (0.9 + 0.14 * draws[:, 0])
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = scale
    theta[:, :, 2] = (draws[:, 1:] * 2 - 1) * (3 / (SIZE / 2))
    theta[mirrored, 0] *= -1
    pictures = masters.float().div_(127.5).sub_(1)
    grid = functional.affine_grid(theta, list(pictures.shape), align_corners=False)
    moved = functional.grid_sample(pictures, grid, padding_mode="border", align_corners=False)
    return functional.interpolate(moved, size=(SIZE, SIZE), mode="bicubic", antialias=True).clamp_(-1, 1)


def unmoved(masters: Tensor) -> Tensor:
    """Pictures [batch, 3, 64, 64] in [-1, 1] of masters uint8 [batch, 3, 128, 128], without augmentation."""
    pictures = masters.float().div_(127.5).sub_(1)
    return functional.interpolate(pictures, size=(SIZE, SIZE), mode="bicubic", antialias=True).clamp_(-1, 1)


@dataclass(frozen=True)
class PictureTable:
    """All pictures there are, in one row each.

    Attributes:
        masters: uint8 [pictures, 3, 128, 128].
        concept: int64 [pictures], index of what it shows.
        style: int64 [pictures], index of who drew it.
        mirrors: bool [pictures], whether its mirror image is as good.
    """

    masters: Tensor
    concept: Tensor
    style: Tensor
    mirrors: Tensor

    @classmethod
    def of(cls, pictures: EmojiPictures) -> PictureTable:
        style, concept = (torch.from_numpy(index) for index in np.nonzero(pictures.present))
        masters = torch.from_numpy(pictures.masters[pictures.present]).permute(0, 3, 1, 2).contiguous()
        mirrors = torch.tensor([one.mirrors for one in pictures.concepts])
        return cls(masters, concept, style, mirrors[concept])

    def draw(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """Augmented pictures [rows, 3, 64, 64]; half of those that may be mirrored are."""
        mirrored = self.mirrors[rows] & (torch.rand(len(rows), generator=generator) < 0.5)
        return augment(self.masters[rows], mirrored, generator)


@dataclass
class VaeTask:
    """Reconstruction of augmented pictures: L1, the edges at three scales, and a little KL divergence.

    The weight of the KL divergence (nats a latent number, against L1 a colour value) keeps the latents near N(0, 1) and
    their posterior wide enough that small errors of the U-Net do no harm.
    """

    network: nn.Module
    pictures: PictureTable
    batch: int = 16
    edges: float = 1.0
    kl: float = 1e-4

    @classmethod
    def create(cls, pictures: EmojiPictures, seed: int = 0) -> VaeTask:
        torch.manual_seed(seed)
        network = cast(Any, autoencoder()).to(memory_format=torch.channels_last)
        return cls(network, PictureTable.of(pictures))

    def loss(self, generator: torch.Generator) -> Tensor:
        rows = torch.randint(len(self.pictures.masters), (self.batch,), generator=generator)
        data = self.pictures.draw(rows, generator).contiguous(memory_format=torch.channels_last)
        vae = cast(Any, self.network)
        posterior = vae.encode(data).latent_dist
        decoded = vae.decode(posterior.sample(generator)).sample.float()
        divergence = posterior.kl().float().sum() / posterior.mean.numel()
        return (decoded - data).abs().mean() + self.edges * edge_loss(decoded, data) + self.kl * divergence


def edge_loss(first: Tensor, second: Tensor, scales: int = 3) -> Tensor:
    """Mean absolute difference of neighbouring pixels' differences, at full size, half and quarter.

    Args:
        first: pictures [batch, channels, height, width].
        second: the like.
        scales: how many.
    """
    total = first.new_zeros(())
    error = first - second
    for scale in range(scales):
        error = error if scale == 0 else functional.avg_pool2d(error, 2)
        total = total + error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()
    return total / (2 * scales)


@torch.no_grad()
def normalise_latents(vae: Any, mean: Tensor, deviation: Tensor) -> None:
    """Fold (z - mean) / deviation, [channels] each, into the autoencoder's own 1 x 1 convolutions; exact."""
    channels = len(mean)
    mean, deviation = mean.to(vae.quant_conv.bias), deviation.to(vae.quant_conv.bias)
    into, out = vae.quant_conv, vae.post_quant_conv
    into.weight[:channels] /= deviation.view(-1, 1, 1, 1)
    into.bias[:channels] = (into.bias[:channels] - mean) / deviation
    into.bias[channels:] -= 2 * deviation.log()  # the posterior's log-variance
    out.bias += out.weight[:, :, 0, 0] @ mean
    out.weight *= deviation.view(1, -1, 1, 1)


@torch.no_grad()
def psnr(vae: Any, pictures: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of reconstructed pictures [count, 3, 64, 64] in [-1, 1] (range 2)."""
    latents = encode(vae, pictures)
    decoded = torch.cat([vae.decode(part).sample for part in latents.split(64)]).clamp(-1, 1)
    return float(10 * torch.log10(4 / (decoded - pictures).square().mean()))


@dataclass(frozen=True)
class CaptionTable:
    """Token ids of all training captions, and where those of each (style, concept) are.

    Attributes:
        tokens: int32 [captions, 32].
        first: int64 [styles, concepts], row of the first caption.
        count: int64 [styles, concepts].
        empty: int32 [32], the empty prompt's.
    """

    tokens: Tensor
    first: Tensor
    count: Tensor
    empty: Tensor

    @classmethod
    def of(cls, concepts: Sequence[Concept], styles: Sequence[str], tokenizer: Any) -> CaptionTable:
        listed = [training_captions(concept, style) for style in styles for concept in concepts]
        count = torch.tensor([len(captions) for captions in listed])
        tokens = token_ids(tokenizer, [caption for captions in listed for caption in captions]).int()
        shape = (len(styles), len(concepts))
        return cls(
            tokens, (count.cumsum(0) - count).view(shape), count.view(shape), token_ids(tokenizer, [""])[0].int()
        )

    def draw(self, style: Tensor, concept: Tensor, generator: torch.Generator) -> Tensor:
        """One caption's token ids for each style and concept, int64 [batch, 32]."""
        count = self.count[style, concept]
        offset = (torch.rand(len(count), generator=generator) * count).long().clamp(max=count - 1)
        return self.tokens[self.first[style, concept] + offset].long()


@dataclass
class TextTask:
    """Which of 128 captions speaks of the same concept as this one: InfoNCE with temperature 0.1."""

    network: nn.Module
    captions: CaptionTable
    batch: int = 128

    def loss(self, generator: torch.Generator) -> Tensor:
        styles, concepts = self.captions.count.shape
        chosen = torch.randperm(concepts, generator=generator)[: self.batch]
        drawn = [
            self.captions.draw(torch.randint(styles, (len(chosen),), generator=generator), chosen, generator)
            for _ in range(2)
        ]
        logits = cast(TextToLatent, self.network).similarity(*drawn) / 0.1
        target = torch.arange(len(chosen))
        return 0.5 * (functional.cross_entropy(logits, target) + functional.cross_entropy(logits.T, target))


@dataclass
class EmojiTask:
    """v-prediction of the latents of emoji, given a caption.

    Attributes:
        network: text encoder and U-Net.
        latents: float16 [versions, pictures, 4, 16, 16], of mean 0 and variance 1.
        rows: int64 [styles, concepts], row of a picture, or -1 where a style lacks the concept.
        captions: of every style and concept.
    """

    network: nn.Module
    latents: Tensor
    rows: Tensor
    captions: CaptionTable
    batch: int = 64
    schedule: DiscreteVP = field(default_factory=DiscreteVP.scaled_linear)

    def loss(self, generator: torch.Generator) -> Tensor:
        data, tokens = self.draw(generator)
        network = cast(TextToLatent, self.network)
        # On CPU, plain attention of so few tokens takes half the time of the fused kernel, backward included.
        with sdpa_kernel(SDPBackend.MATH):
            return denoising_loss(
                lambda x, time: network(x, time, tokens), data, self.schedule, generator, LOG_LEVEL[0], LOG_LEVEL[1]
            )

    def draw(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Latents [batch, 4, 16, 16] float32 and token ids [batch, 32]: concepts and then styles are equally likely."""
        concept = torch.randint(self.rows.shape[1], (self.batch,), generator=generator)
        available = (self.rows[:, concept] >= 0).T.float()
        style = torch.multinomial(available, 1, generator=generator)[:, 0]
        version = torch.randint(len(self.latents), (self.batch,), generator=generator)
        data = self.latents[version, self.rows[style, concept]].float()
        tokens = self.captions.draw(style, concept, generator)
        tokens[torch.rand(self.batch, generator=generator) < EMPTY_CAPTIONS] = self.captions.empty.long()
        return data.contiguous(memory_format=torch.channels_last), tokens


@torch.no_grad()
def encode_versions(vae: Any, pictures: PictureTable, versions: int = VERSIONS, seed: int = 1) -> Tensor:
    """Latents float16 [versions, pictures, 4, 16, 16] of differently augmented pictures; the first is as drawn."""
    generator = torch.Generator().manual_seed(seed)
    parts = []
    for version in range(versions):
        for rows in torch.arange(len(pictures.masters)).split(64):
            plain = unmoved(pictures.masters[rows]) if version == 0 else pictures.draw(rows, generator)
            parts.append(encode(vae, plain.contiguous(memory_format=torch.channels_last)).half())
    latents = torch.cat(parts)
    return latents.view(versions, len(pictures.masters), *latents.shape[1:]).contiguous()


def picture_rows(pictures: PictureTable, styles: int, concepts: int) -> Tensor:
    """Row of each (style, concept) in the table, int64 [styles, concepts]; -1 where there is none."""
    rows = torch.full((styles, concepts), -1)
    rows[pictures.style, pictures.concept] = torch.arange(len(pictures.concept))
    return rows


def fit_preview(latents: Tensor, pictures: Tensor) -> list[list[float]]:
    """The linear map from latents to small pictures: least squares of [3][channels + 1], the last column the bias.

    Args:
        latents: [count, channels, h, w].
        pictures: [count, 3, H, W] in [-1, 1], with H a multiple of h.
    """
    channels = latents.shape[1]
    small = functional.adaptive_avg_pool2d(pictures.float(), (latents.shape[2], latents.shape[3]))
    inputs = latents.double().permute(0, 2, 3, 1).reshape(-1, channels)
    inputs = torch.cat([inputs, torch.ones(len(inputs), 1, dtype=torch.float64)], 1)
    targets = small.double().permute(0, 2, 3, 1).reshape(-1, 3)
    return torch.linalg.lstsq(inputs, targets).solution.T.tolist()


def train_model(
    name: str,
    minutes: float | None = None,
    data_folder: Path | None = None,
    report: Callable[[TrainingProgress], None] = lambda progress: None,
    folder: Path | None = None,
) -> Path:
    """Train a part of the emoji model and write its folder; resumes from `checkpoints_folder()`.

    Args:
        name: "emoji_vae", then "emoji", which takes up the trained autoencoder; "emoji_scorer", their judge.
        minutes: of training in all, resumed ones included; None for the model's own.
        data_folder: with the npm packages; None for ~/.cache/superdiff/data/emoji.
        report: called about every ten seconds.
        folder: where the folder `name` is written; None for the embedded models' own.

    Returns:
        The folder that was written.

    Raises:
        ModelError: for another name, without a trained autoencoder, or when its float16 weights overflow.
        FileNotFoundError: when the data are not there; the message says how to get them.
    """
    if name not in MINUTES:
        raise ModelError(f"There is no training for '{name}'; choose {', '.join(MINUTES)}.")
    minutes = MINUTES[name] if minutes is None else minutes
    target = (assets_folder() if folder is None else folder) / name
    if name == SCORER:
        from .scorer import train_scorer  # which draws its pictures as this module does

        return train_scorer(minutes, data_folder, report, target, CHECKPOINTS / f"{SCORER}.ckpt")
    pictures = load_pictures(data_folder)
    if name == VAE:
        return _train_vae(pictures, minutes, report, target)
    return _train_emoji(pictures, minutes, report, target)


def _train_vae(
    pictures: EmojiPictures, minutes: float, report: Callable[[TrainingProgress], None], target: Path
) -> Path:
    task = VaeTask.create(pictures)
    plan = TrainingPlan(minutes, 1e-3, warmup_steps=100, checkpoint_minutes=5)
    network, progress = train(task, plan, CHECKPOINTS / f"{VAE}.ckpt", report)
    vae, table = cast(Any, network), task.pictures
    latents = encode_versions(vae, table, versions=2).float()
    mean, deviation = latents.mean(dim=(0, 1, 3, 4)), latents.std(dim=(0, 1, 3, 4))
    normalise_latents(vae, mean, deviation)
    vae.register_to_config(scaling_factor=1.0)
    # Augmentations that no step of the training has drawn.
    generator = torch.Generator().manual_seed(10**6)
    rows = torch.randint(len(table.masters), (256,), generator=generator)
    unseen = table.draw(rows, generator)
    figures = {
        "psnr": psnr(vae, unseen),
        "psnr_float16": psnr(vae_in_half(vae, unseen[:8]), unseen),
        "mean_before": mean.tolist(),
        "deviation_before": deviation.tolist(),
        "steps": progress.step,
        "minutes": progress.minutes,
        "loss": _last_loss(progress),
    }
    half = copy.deepcopy(vae)
    nn.Module.to(half, dtype=torch.float16, memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    half.save_pretrained(target, safe_serialization=True)
    for weights in target.glob("*.safetensors"):
        weights.chmod(0o644)  # safetensors makes it readable for its owner only
    _tidy_settings(target)
    write_whole(target / "README.md", _vae_card(figures, target).encode())
    write_whole(target / "figures.json", (json.dumps(figures, indent=2) + "\n").encode())
    return target


@torch.no_grad()
def vae_in_half(vae: Any, pictures: Tensor) -> Any:
    """A float32 autoencoder whose weights went through float16, after a test that it can also compute in float16.

    Raises:
        ModelError: when float16 overflows on these pictures [count, 3, 64, 64].
    """
    latents = encode(vae, pictures)
    half = copy.deepcopy(vae).half()
    if not bool(torch.isfinite(half.decode(latents.half()).sample).all()):
        raise ModelError("The autoencoder overflows in float16; train it longer or with a larger weight decay.")
    return half.float()


def load_vae(folder: Path | None = None) -> Any:
    """The trained autoencoder, float32: of `folder`, the one that waits for its model, or the finished model's own.

    Raises:
        ModelError: when there is none.
    """
    from diffusers import AutoencoderKL

    if folder is None:
        alone, finished = assets_folder() / VAE, assets_folder() / EMOJI / "vae"
        folder = finished if not alone.is_dir() and finished.is_dir() else alone
    if not (folder / "config.json").is_file():
        raise ModelError(f"There is no trained autoencoder in {folder}; run 'superdiff train {VAE}' first.")
    vae: Any = AutoencoderKL.from_pretrained(folder, use_safetensors=True)
    return vae.eval().requires_grad_(False)


def _train_emoji(
    pictures: EmojiPictures, minutes: float, report: Callable[[TrainingProgress], None], target: Path
) -> Path:
    vae, checkpoint = load_vae(), CHECKPOINTS / f"{EMOJI}.ckpt"
    tokenizer = _tokenizer(pictures.concepts, renew=not checkpoint.is_file())
    captions = CaptionTable.of(pictures.concepts, pictures.styles, tokenizer)
    torch.manual_seed(0)
    network = new_network(tokenizer)
    if not checkpoint.is_file():
        warm = train(TextTask(network, captions), TrainingPlan(min(TEXT_MINUTES, minutes)), _text_checkpoint(), report)
        network = cast(TextToLatent, warm[0])
    table = PictureTable.of(pictures)
    latents = encode_versions(vae, table)
    rows = picture_rows(table, len(pictures.styles), len(pictures.concepts))
    task = EmojiTask(network, latents, rows, captions)
    if minutes > COMPILE_MINUTES and shutil.which("c++"):
        cast(nn.Module, network.unet).compile()  # in place: the names of its weights stay
    plan = TrainingPlan(minutes, 6e-4, warmup_steps=300, ema_decay=0.9995, checkpoint_minutes=10)
    trained, progress = train(task, plan, checkpoint, report)
    facts = TrainingFacts(
        minutes=progress.minutes,
        steps=progress.step,
        batch=task.batch,
        loss=_last_loss(progress),
        hardware=f"{os.cpu_count()} {platform.machine()} CPU cores, bfloat16",
    )
    few = torch.arange(0, len(table.masters), 4)
    preview = fit_preview(latents[0, few], unmoved(table.masters[few]))
    save_model(target, build_pipeline(cast(TextToLatent, trained), vae, tokenizer), pictures.concepts, preview, facts)
    return target


def _text_checkpoint() -> Path:
    return CHECKPOINTS / f"{EMOJI}_text.ckpt"


def _tokenizer(concepts: Sequence[Concept], renew: bool) -> Any:
    """The tokenizer of the training that stands in the checkpoints, or a new one."""
    folder = CHECKPOINTS / f"{EMOJI}_tokenizer"
    if renew or not (folder / "vocab.json").is_file():
        _text_checkpoint().unlink(missing_ok=True)  # it numbers the words by another tokenizer
        styles = tuple(STYLE_WORDS)
        save_tokenizer([text for one in concepts for style in styles for text in training_captions(one, style)], folder)
    return load_tokenizer(folder)


def new_network(tokenizer: Any) -> TextToLatent:
    """Text encoder and U-Net with random weights, in the memory format that convolutions like."""
    network: Any = TextToLatent(text_encoder(tokenizer), unet())
    return network.to(memory_format=torch.channels_last)


def _last_loss(progress: TrainingProgress) -> float:
    recent = [loss for _, loss in progress.losses[-20:]] or [progress.loss]
    return sum(recent) / len(recent)


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


def pipeline_from_checkpoint(folder: Path | None = None) -> Any:
    """The pipeline with the EMA weights of a training that may still be running.

    Args:
        folder: with emoji.ckpt and emoji_tokenizer; None for `checkpoints_folder()`.

    Raises:
        ModelError: when a part is missing, or the checkpoint is of another network.
    """
    checkpoints = CHECKPOINTS if folder is None else folder
    checkpoint, words = checkpoints / f"{EMOJI}.ckpt", checkpoints / f"{EMOJI}_tokenizer"
    if not checkpoint.is_file() or not words.is_dir():
        raise ModelError(f"There is no training of the emoji model in {checkpoints}; run 'superdiff train {EMOJI}'.")
    tokenizer = load_tokenizer(words)
    network = new_network(tokenizer)
    stored = torch.load(checkpoint, map_location="cpu", weights_only=True)
    try:
        network.load_state_dict(stored["ema"])
    except (RuntimeError, KeyError):
        raise ModelError(f"{checkpoint} is of another network; delete it and train again.") from None
    return build_pipeline(cast(TextToLatent, network.eval()), load_vae(), tokenizer)


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
    from diffusers import StableDiffusionPipeline

    pipeline: Any = source
    if isinstance(source, str | Path):
        pipeline = StableDiffusionPipeline.from_pretrained(source, safety_checker=None, use_safetensors=True)
        pipeline.set_progress_bar_config(disable=True)
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


def save_model(
    folder: Path,
    pipeline: Any,
    concepts: Sequence[Concept],
    preview: list[list[float]],
    facts: TrainingFacts,
) -> None:
    """Write the pipeline folder: float16 safetensors, superdiff.json and the model card.

    Args:
        folder: to write.
        pipeline: of float32 weights; it is not changed.
        concepts: the model was trained on.
        preview: map from latents to RGB, [3][5].
        facts: of the training.
    """
    parts = {name: copy.deepcopy(part) for name, part in pipeline.components.items() if isinstance(part, nn.Module)}
    for part in parts.values():
        nn.Module.to(part, dtype=torch.float16, memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    half = type(pipeline)(**{**pipeline.components, **parts}, requires_safety_checker=False)
    half.save_pretrained(folder, safe_serialization=True)
    for weights in folder.rglob("*.safetensors"):
        weights.chmod(0o644)  # safetensors makes it readable for its owner only
    _copy_words(pipeline.tokenizer, folder / "tokenizer")
    _tidy_settings(folder)
    settings = {
        "title": "Emoji",
        "description": f"Draws {len(concepts)} emoji in four styles from a prompt, 64 x 64 pixels",
        "latent_rgb": preview,
        "styles": [words[0] for words in STYLE_WORDS.values()],
        "vocabulary": list(known_words(concepts)),
        "suggestions": sorted(with_article(concept.name) for concept in concepts),
        "concepts": [{"id": concept.id, "name": concept.name, "kind": concept.kind} for concept in concepts],
        "training": facts.model_dump(),
    }
    write_whole(folder / "superdiff.json", (json.dumps(settings, indent=1, ensure_ascii=False) + "\n").encode())
    write_whole(folder / "README.md", _card(folder, parts, len(concepts), facts).encode())


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

The autoencoder of the embedded text-to-image model of emoji: 64 x 64 RGB pictures to latents of 4 x 16 x 16 with mean 0
and variance 1. It is kept by itself until the model that is trained in its latents is finished and holds it.

| | |
| --- | --- |
| Network | AutoencoderKL, {size:.1f} MB, float16 |
| Training | {figures["minutes"]:.0f} minutes on {os.cpu_count()} CPU cores: {figures["steps"]:,} steps, loss \
{figures["loss"]:.4f} (L1, edges, KL) |
| Reconstruction | {figures["psnr"]:.1f} dB PSNR on 512 augmented pictures that no step has drawn; \
{figures["psnr_float16"]:.1f} dB with float16 weights |

Data and licences: those of the model of emoji (Noto, Fluent, Twemoji; weights under CC-BY-4.0). No design was held out.

Made by `superdiff train {VAE}`.
"""


def _card(folder: Path, parts: dict[str, nn.Module], concepts: int, facts: TrainingFacts) -> str:
    sizes = ", ".join(f"{name} {parameters_of(part) / 1e6:.2f}" for name, part in parts.items())
    total = sum(file.stat().st_size for file in folder.rglob("*.safetensors")) / 1e6
    sources = "\n".join(
        f"| {one.title} | {one.package} {one.version} | {one.licence} | {one.credit} |"
        for one in (*GENERATOR_SETS, LABELS)
    )
    return f"""# Emoji

A text-to-image model of emoji: a StableDiffusionPipeline of 64 x 64 pictures that SuperDiff Studio embeds. Plain
diffusers reads it: `StableDiffusionPipeline.from_pretrained("assets/emoji", safety_checker=None)`.

| | |
| --- | --- |
| Prompts | "a cat", "cat, 3d style", "a picture of a donut", ...: {concepts} emoji; styles {", ".join(STYLE_WORDS)} |
| Networks | million parameters: {sizes} |
| Files | {total:.1f} MB, float16 safetensors |
| Schedule | Stable Diffusion's (scaled linear betas, 1000 steps), v-prediction |
| Training | {facts.minutes:.0f} minutes on {facts.hardware}: {facts.steps:,} steps of {facts.batch} latents, \
last mean loss {facts.loss:.4f} |

## Data

| set | npm package | licence | credit |
| --- | --- | --- | --- |
{sources}

Pictures were scaled to 64 x 64 on white, shifted, scaled and, where they hold no letters, mirrored. The model's weights
are offered under CC-BY-4.0, the strictest of these licences: credit the sets above.

## Limits

It knows these emoji and nothing else: words outside its vocabulary (superdiff.json) are noise to it, and no caption it
has seen names two things. With about four drawings of each concept it remembers them rather than invents new ones.
Fine lines and small faces may blur.

Made by `superdiff train {VAE}` and `superdiff train {EMOJI}`.
"""
