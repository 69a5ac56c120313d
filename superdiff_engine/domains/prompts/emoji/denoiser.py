"""Training of the text encoder and of the U-Net in the autoencoder's latents; see `prompts/train.py`."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from ....errors import ModelError
from ....noise import DiscreteVP
from ....training.losses import denoising_loss, noisy_draws
from ....training.task import Draws, TrainingFacts, TrainingPlan, TrainingProgress, TrainingTask
from ....training.trainer import checkpoints_folder, train
from ....training.training import RefiningOptions, Report
from ..previews import fit_preview
from .captions import FILLERS, STYLE_WORDS, load_tokenizer, save_tokenizer, training_captions
from .concepts import Concept
from .networks import Grounding, TextToLatent, text_encoder, unet
from .rendering import EmojiPictures
from .saving import (
    EMOJI,
    begun_model,
    build_pipeline,
    load_facts,
    load_pipeline,
    load_vae,
    load_vae_figures,
    save_model,
)
from .stage import BATCHES, Convolutions, EmojiPart, batch_size, batches_of
from .training_data import CaptionTable, PictureTable, caption_pool, encode_versions, picture_rows, unmoved

#: Minutes of the text encoder on one H100.
TEXT_MINUTES = 0.37
#: Trainings longer than this on a CPU compile the U-Net first: two and a half minutes, for steps that take 0.85 of the
#: time.
COMPILE_MINUTES = 15.0
EMPTY_CAPTIONS = 0.1
#: Levels of training, log s ~ N(mean, deviation^2), for latents of variance 1. A concept's outline is decided at s from
#: 1 to 12: neighbouring latents are alike, so noise must be strong to hide what they share. (With a mean of -0.2 half
#: of the training went below s = 0.8, where all is settled: colours were learned, outlines were not.) Two deviations
#: span s = 0.17 to 20; the schedule ends at 14.6.
LOG_LEVEL = (0.6, 1.2)


@dataclass
class TextTask(TrainingTask):
    """What a caption's picture looks like on average, and which of the other captions say the same.

    The pictures are regressed on (mean squared error), so that texts of similar pictures come to lie close together and
    the U-Net has little to undo; InfoNCE with temperature 0.07 keeps those apart that look alike. Every concept is in
    a batch three times, by captions that name no style and two different ones.

    Attributes:
        network: `Grounding`.
        tokens: of `caption_pool`, int16 [styles, concepts, captions, 32].
        pictures: float32 [1 + styles, concepts, numbers]: the mean over all styles, then each style's.
        batch: concepts a step.
    """

    network: nn.Module
    tokens: Tensor
    pictures: Tensor
    batch: int = BATCHES["cpu"][1]
    contrast: float = 0.05

    def draw(self, generator: torch.Generator) -> Draws:
        styles, concepts, captions, _ = self.tokens.shape
        chosen = torch.randperm(concepts, generator=generator)[: self.batch]
        order = torch.rand(len(chosen), styles, generator=generator).argsort(1)
        styled = torch.arange(3).repeat_interleave(len(chosen)) > 0
        caption = torch.randint(captions // 2, (2, len(styled)), generator=generator) + styled * (captions // 2)
        style = torch.cat([order[:, 0], order[:, 0], order[:, 1]])
        return {"concept": chosen.repeat(3), "style": style, "styled": styled, "caption": caption}

    def loss(self, drawn: Draws) -> Tensor:
        concept, style = drawn["concept"], drawn["style"]
        tokens = self.tokens[style, concept, drawn["caption"]].flatten(0, 1).long()
        texts, pictures = self.network(tokens)
        logits = texts[: len(concept)] @ texts[len(concept) :].T / 0.07
        target = torch.arange(len(concept), device=logits.device)
        apart = 0.5 * (functional.cross_entropy(logits, target) + functional.cross_entropy(logits.T, target))
        meant = self.pictures[torch.where(drawn["styled"], style + 1, 0), concept]
        return (pictures.float() - meant.repeat(2, 1)).square().mean() + self.contrast * apart


def mean_pictures(latents: Tensor, rows: Tensor) -> Tensor:
    """The mean latents of every concept, over all styles and in each, float32 [1 + styles, concepts, numbers].

    Args:
        latents: [versions, pictures, ...].
        rows: int64 [styles, concepts], row of a picture, or -1; a style that lacks a concept gets the mean over all.
    """
    mean = latents.float().mean(0).flatten(1)
    there = (rows >= 0).unsqueeze(2)
    each = mean[rows.clamp_min(0)] * there
    overall = each.sum(0) / there.sum(0).clamp_min(1)
    return torch.cat([overall.unsqueeze(0), torch.where(there, each, overall)])


@dataclass
class EmojiTask(Convolutions):
    """v-prediction of the latents of emoji, given a caption; all pictures are equally likely.

    Attributes:
        network: text encoder and U-Net.
        latents: float16 [versions, pictures, 8, 16, 16], of mean 0 and variance 1.
        rows: int64 [styles, concepts], row of a picture, or -1 where a style lacks the concept.
        tokens: of `caption_pool`, int16 [styles, concepts, captions, 32].
        empty: int64 [32], the empty prompt's.
        batch: latents a step.
    """

    network: nn.Module
    latents: Tensor
    rows: Tensor
    tokens: Tensor
    empty: Tensor
    batch: int = BATCHES["cpu"][2]
    schedule: DiscreteVP = field(default_factory=DiscreteVP.scaled_linear)
    _pairs: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self._pairs = (self.rows >= 0).nonzero()

    def draw(self, generator: torch.Generator) -> Draws:
        def below(most: int) -> Tensor:
            return torch.randint(most, (self.batch,), generator=generator)

        shape = (self.batch, *self.latents.shape[2:])
        return {
            "pair": below(len(self._pairs)),
            "version": below(len(self.latents)),
            "caption": below(self.tokens.shape[2]),
            "said": torch.rand(self.batch, generator=generator) >= EMPTY_CAPTIONS,
            **noisy_draws(shape, self.schedule, generator, *LOG_LEVEL),
        }

    def batch_of(self, drawn: Draws) -> tuple[Tensor, Tensor]:
        """Latents [batch, 8, 16, 16] float32 and token ids [batch, 32] of what was drawn."""
        style, concept = self._pairs[drawn["pair"]].unbind(1)
        data = self.latents[drawn["version"], self.rows[style, concept]].float()
        tokens = self.tokens[style, concept, drawn["caption"]].long()
        return data, torch.where(drawn["said"].unsqueeze(1), tokens, self.empty)

    def loss(self, drawn: Draws) -> Tensor:
        data, tokens = self.batch_of(drawn)
        network = cast(TextToLatent, self.network)
        # On a CPU, plain attention of so few tokens takes half the time of the fused kernel, backward included.
        with sdpa_kernel(SDPBackend.MATH) if data.device.type == "cpu" else nullcontext():
            return denoising_loss(
                lambda x, time: network(x.contiguous(memory_format=self.layout), time, tokens), data, drawn
            )


@dataclass(frozen=True)
class EmojiData:
    """What the model of emoji learns from.

    Attributes:
        pictures: all there are.
        table: the same, in rows.
        vae: the trained autoencoder.
        tokenizer: of the captions.
        captions: of all concepts and styles.
        tokens: of `caption_pool`.
        latents: of `encode_versions`.
        rows: of `picture_rows`.
        installed: the pipeline that is refined, where it is.
    """

    pictures: EmojiPictures
    table: PictureTable
    vae: Any
    tokenizer: Any
    captions: CaptionTable
    tokens: Tensor
    latents: Tensor
    rows: Tensor
    installed: Any


@dataclass(frozen=True)
class EmojiTraining(EmojiPart[EmojiData]):
    """The training of the text encoder and then of the U-Net, in the latents of the trained autoencoder.

    Attributes:
        name: of the model.
        minutes: of the U-Net, on one H100, after the text encoder's.
    """

    name: str = EMOJI
    minutes: float = 5.85

    def load(self, options: RefiningOptions) -> EmojiData:
        pictures, vae, checkpoint = self.pictures(options), load_vae(), self.checkpoint(options)
        # A training that was stopped while the text encoder learned goes on there.
        begun, installed = checkpoint.is_file() or self._text_checkpoint(options).is_file(), None
        if options.refine and not checkpoint.is_file():
            begun, folder = True, begun_model(self.folder(options))
            installed = load_pipeline(folder)
            shutil.copytree(folder / "tokenizer", self._words(options), dirs_exist_ok=True)
        tokenizer = self._tokenizer(pictures.concepts, options, renew=not begun)
        captions = CaptionTable.of(pictures.concepts, pictures.styles, tokenizer, FILLERS)
        tokens, table = caption_pool(captions), PictureTable.of(pictures)
        latents = encode_versions(vae, table, device=options.device)
        rows = picture_rows(table, len(pictures.styles), len(pictures.concepts))
        return EmojiData(pictures, table, vae, tokenizer, captions, tokens, latents, rows, installed)

    def task(self, data: EmojiData, options: RefiningOptions) -> EmojiTask:
        network = new_network(data.tokenizer)
        network.text.requires_grad_(False)
        empty, batch = data.captions.empty.long(), batch_size(options, 2)
        task = EmojiTask(network, data.latents, data.rows, data.tokens, empty, batch)
        long = self.budget(options) > COMPILE_MINUTES
        if long and torch.device(options.device).type == "cpu" and shutil.which("c++"):
            cast(nn.Module, network.unet).compile()  # in place: the names of its weights stay
        return task

    def plan(self, minutes: float, options: RefiningOptions) -> TrainingPlan:
        return TrainingPlan(minutes, 8e-4, warmup_steps=400, decay_fraction=0.35, ema_decay=0.9995)

    def begin(
        self, task: TrainingTask, data: EmojiData, options: RefiningOptions, report: Report
    ) -> TrainingProgress | None:
        """The weights of a model that is there, to refine them; else a text encoder that has learned."""
        network = cast(TextToLatent, task.network)
        if data.installed is not None:
            network.text.load_state_dict(data.installed.text_encoder.state_dict())
            network.unet.load_state_dict(data.installed.unet.state_dict())
            return load_facts(begun_model(self.folder(options))).progress()
        means = mean_pictures(data.latents, data.rows)
        network.text.requires_grad_(True)
        warm = TrainingPlan(min(TEXT_MINUTES, self.budget(options)), warmup_steps=100)
        text = TextTask(Grounding(network.text, means.shape[2]), data.tokens, means, batches_of(options.device)[1])
        train(text, warm, self._text_checkpoint(options), report, options.device)
        network.text.requires_grad_(False)
        return None

    def save(
        self, folder: Path, network: nn.Module, data: EmojiData, facts: TrainingFacts, options: RefiningOptions
    ) -> None:
        few = torch.arange(0, len(data.table.masters), 4)
        preview = fit_preview(data.latents[0, few], unmoved(data.table.masters[few]))
        pipeline = build_pipeline(cast(TextToLatent, network), data.vae, data.tokenizer)
        save_model(folder, pipeline, data.pictures.concepts, preview, facts, load_vae_figures())

    def _text_checkpoint(self, options: RefiningOptions) -> Path:
        return self.checkpoint(options).with_name(f"{EMOJI}_text.ckpt")

    def _words(self, options: RefiningOptions) -> Path:
        """The folder of the tokenizer, beside the checkpoint."""
        return self.checkpoint(options).with_name(f"{EMOJI}_tokenizer")

    def _tokenizer(self, concepts: Sequence[Concept], options: RefiningOptions, renew: bool) -> Any:
        """The tokenizer of the training that stands in the checkpoints, or a new one."""
        folder = self._words(options)
        if renew or not (folder / "vocab.json").is_file():
            # It numbers the words by another tokenizer.
            self._text_checkpoint(options).unlink(missing_ok=True)
            styles = tuple(STYLE_WORDS)
            texts = [text for one in concepts for style in styles for text in training_captions(one, style)]
            save_tokenizer(texts, folder)
        return load_tokenizer(folder)


def new_network(tokenizer: Any) -> TextToLatent:
    """Text encoder and U-Net with random weights."""
    return TextToLatent(text_encoder(tokenizer), unet())


def pipeline_from_checkpoint(folder: Path | None = None) -> Any:
    """The pipeline with the EMA weights of a training that may still be running.

    Args:
        folder: with emoji.ckpt and emoji_tokenizer; None for `checkpoints_folder()`.

    Raises:
        ModelError: when a part is missing, or the checkpoint is of another network.
    """
    checkpoints = checkpoints_folder() if folder is None else folder
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
