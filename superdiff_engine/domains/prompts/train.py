"""Training of the embedded text-to-image model of emoji, in two stages that each can be resumed.

1. "emoji_vae": an autoencoder of 128 x 128 pictures. Afterwards the mean m_c and the deviation s_c of every latent
   channel c are measured and folded into its 1 x 1 convolutions, exactly:

       z'_c = (z_c - m_c) / s_c    (quant_conv)          z_c = s_c z'_c + m_c    (post_quant_conv)

   so latents have mean 0 and variance 1 in each channel, as the noise schedule assumes, with scaling_factor = 1.
   (Stable Diffusion's pipelines know one factor, and no shift.) To refine it is to train the decoder alone: the encoder
   and with it the latents stay, so that the model that was trained in them stays right.

2. "emoji": first the text encoder alone learns, for some minutes, what the pictures of a caption look like on average,
   and which captions speak of the same concept and style (InfoNCE, van den Oord et al. 2018, arXiv 1807.03748). Then it
   stays as it is, as CLIP does in Stable Diffusion, and the U-Net learns v-prediction in latents of augmented pictures
   that are encoded once. Trained along with the U-Net the embeddings of 948 concepts fell together: the dimensions that
   they fill (the exponential of the entropy of their principal variances) went from 52 to 6 within 3,000 steps, and
   prompts changed colours but no outlines.

Classifier-free guidance (Ho and Salimans 2022, arXiv 2207.12598) needs the empty prompt: a tenth of the captions.

The budgets are those of one GPU (an H100: 1,200 pictures a second through the autoencoder, 12,000 latents through the
U-Net); two CPU cores are some two hundred times slower, and are for refining, and for small models.
"""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from ...errors import ModelError
from ...noise import DiscreteVP
from ...training.losses import denoising_loss, noisy_draws
from ...training.packs import is_pack, read_pack, write_pack
from ...training.task import Draws, TrainingFacts, TrainingPlan, TrainingProgress, TrainingTask
from ...training.trainer import checkpoints_folder, train
from ...training.training import Data, RefiningOptions, Report, Training
from .captions import (
    FILLERS,
    STYLE_WORDS,
    load_tokenizer,
    save_tokenizer,
    training_captions,
)
from .emoji import Concept, EmojiPictures, load_pictures
from .networks import Grounding, TextToLatent, autoencoder, encode, text_encoder, unet
from .previews import fit_preview
from .saving import (
    EMOJI,
    VAE,
    begun_model,
    build_pipeline,
    load_facts,
    load_pipeline,
    load_vae,
    load_vae_figures,
    save_model,
    save_vae,
    vae_in_half,
)
from .scorer_train import ScorerTraining
from .training_data import CaptionTable, PictureTable, augment, caption_pool, encode_versions, picture_rows, unmoved
from .vocabulary import is_learned
from .webp import from_webp, to_webp

#: Minutes of the text encoder on one H100.
TEXT_MINUTES = 0.37
#: Samples a step on a CPU and on a GPU: of the autoencoder, of concepts for the text encoder, of the U-Net.
BATCHES = {"cpu": (16, 32, 32), "cuda": (64, 128, 512)}
#: Trainings longer than this on a CPU compile the U-Net first: two and a half minutes, for steps that take 0.85 of the
#: time.
COMPILE_MINUTES = 15.0
#: Augmented pictures on which an autoencoder is measured.
UNSEEN = 256
EMPTY_CAPTIONS = 0.1
#: Levels of training, log s ~ N(mean, deviation^2), for latents of variance 1. A concept's outline is decided at s from
#: 1 to 12: neighbouring latents are alike, so noise must be strong to hide what they share. (With a mean of -0.2 half
#: of the training went below s = 0.8, where all is settled: colours were learned, outlines were not.) Two deviations
#: span s = 0.17 to 20; the schedule ends at 14.6.
LOG_LEVEL = (0.6, 1.2)


def batches_of(device: str) -> tuple[int, int, int]:
    """BATCHES of a device."""
    return BATCHES["cuda" if torch.device(device).type == "cuda" else "cpu"]


def _batch(options: RefiningOptions, part: int) -> int:
    """Samples a step, of one of the three parts of BATCHES."""
    return batches_of(options.device)[part] if options.batch is None else options.batch


class _Convolutions(TrainingTask):
    """A task whose network keeps channels last on a CPU, where that takes two thirds of the time; on an H100 it takes
    1.2 times as long.
    """

    layout: torch.memory_format = torch.channels_last

    def to(self, device: str) -> None:
        super().to(device)
        self.layout = torch.channels_last if torch.device(device).type == "cpu" else torch.contiguous_format
        cast(Any, self.network).to(memory_format=self.layout)


@dataclass
class VaeTask(_Convolutions):
    """Reconstruction of augmented pictures: L1, the edges at three scales, and a little KL divergence.

    The weight of the KL divergence (nats a latent number, against L1 a colour value) keeps the latents near N(0, 1) and
    their posterior wide enough that small errors of the U-Net do no harm.

    Attributes:
        network: the autoencoder.
        table: what there is to draw, on the CPU.
        masters: its pictures, uint8 [pictures, 3, 192, 192], on the device.
        batch: pictures a step.
    """

    network: nn.Module
    table: PictureTable
    masters: Tensor
    batch: int = BATCHES["cpu"][0]
    edges: float = 1.0
    kl: float = 2e-4

    @classmethod
    def create(cls, pictures: EmojiPictures, seed: int = 0, batch: int = BATCHES["cpu"][0]) -> VaeTask:
        torch.manual_seed(seed)
        table = PictureTable.of(pictures)
        return cls(autoencoder(), table, table.masters, batch)

    def draw(self, generator: torch.Generator) -> Draws:
        rows = torch.randint(len(self.table.masters), (self.batch,), generator=generator)
        moves, mirrored = self.table.moves(rows, generator)
        config = cast(Any, self.network).config
        side = config.sample_size // 2 ** (len(config.block_out_channels) - 1)
        noise = torch.randn(self.batch, config.latent_channels, side, side, generator=generator)
        return {"rows": rows, "moves": moves, "mirrored": mirrored, "noise": noise}

    def loss(self, drawn: Draws) -> Tensor:
        data, vae = self._pictures(drawn), cast(Any, self.network)
        posterior = vae.encode(data).latent_dist
        mean, log_variance = posterior.mean.float(), posterior.logvar.float()
        decoded = self._decoded(mean + (0.5 * log_variance).exp() * drawn["noise"])
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
        return (decoded - data).abs().mean() + self.edges * edge_loss(decoded, data) + self.kl * divergence

    def _pictures(self, drawn: Draws) -> Tensor:
        """Augmented pictures [batch, 3, 128, 128], float32."""
        data = augment(self.masters[drawn["rows"]], drawn["moves"], drawn["mirrored"])
        return data.contiguous(memory_format=self.layout)

    def _decoded(self, latents: Tensor) -> Tensor:
        return cast(Any, self.network).decode(latents.contiguous(memory_format=self.layout)).sample.float()


@dataclass
class DecoderTask(VaeTask):
    """The decoder alone: the encoder, and with it the latents, stay as they are.

    Squared errors count besides L1 and edges, as there is no divergence to balance them; the noise of the latents has
    half of the posterior's deviation, since what is decoded later is nearer to its mean.
    """

    squares: float = 2.0

    def __post_init__(self) -> None:
        vae = cast(Any, self.network)
        vae.encoder.requires_grad_(False)
        vae.quant_conv.requires_grad_(False)
        vae.decoder.requires_grad_(True)
        vae.post_quant_conv.requires_grad_(True)

    def loss(self, drawn: Draws) -> Tensor:
        data = self._pictures(drawn)
        with torch.no_grad():
            posterior = cast(Any, self.network).encode(data).latent_dist
            latents = posterior.mean.float() + (0.5 * posterior.logvar.float()).exp() * drawn["noise"] / 2
        decoded = self._decoded(latents)
        error = decoded - data
        return error.abs().mean() + self.edges * edge_loss(decoded, data) + self.squares * error.square().mean()


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
    """Peak signal-to-noise ratio in dB of reconstructed pictures [count, 3, 128, 128] in [-1, 1] (range 2)."""
    latents = encode(vae, pictures)
    decoded = torch.cat([vae.decode(part).sample for part in latents.split(64)]).clamp(-1, 1)
    return float(10 * torch.log10(4 / (decoded - pictures).square().mean()))


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
class EmojiTask(_Convolutions):
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


def load_training_pictures(data: Path | None) -> EmojiPictures:
    """The pictures that the model learns from, of a pack or of a folder of npm packages.

    Raises:
        ModelError: for a pack that is damaged or of other data.
        FileNotFoundError: when the data are not there; the message says how to get them.
    """
    if data is None or not is_pack(data):
        return load_pictures(data).only(is_learned)
    arrays = read_pack(data, EMOJI)
    try:
        stored = json.loads(str(arrays["concepts"]))
        concepts = tuple(Concept(one["id"], tuple(one["names"]), tuple(one["tags"]), one["kind"]) for one in stored)
        present, drawn = arrays["present"], from_webp(arrays)
        masters = np.full((*present.shape, *drawn.shape[1:]), 255, np.uint8)
        masters[present] = drawn
        return EmojiPictures(concepts, tuple(json.loads(str(arrays["styles"]))), masters, present)
    except (KeyError, ValueError, TypeError, IndexError):
        raise ModelError(f"The pack {data} is damaged; write it again.") from None


class _EmojiPart(Training[RefiningOptions, Data]):
    """What the stages share: their pictures, and that only a GPU has a budget."""

    options = RefiningOptions

    def budget(self, options: RefiningOptions) -> float:
        """Minutes of training in all.

        Raises:
            ModelError: on a CPU, where none are said.
        """
        if options.minutes is None and torch.device(options.device).type == "cpu":
            raise ModelError(
                f"'{self.name}' has no budget of its own on a CPU, where it takes days from the start; say one with "
                "--minutes, and --refine to go on from what is installed."
            )
        return super().budget(options)

    def pictures(self, options: RefiningOptions) -> EmojiPictures:
        """What is learned from; raises as `load` and `budget` do."""
        pictures = load_training_pictures(options.data)
        self.budget(options)  # before anything that takes time
        return pictures

    def write_pack(self, path: Path, data: Path | None = None) -> Path:
        """One pack serves both stages."""
        pictures = load_training_pictures(data)
        concepts = [{"id": one.id, "names": one.names, "tags": one.tags, "kind": one.kind} for one in pictures.concepts]
        texts = {"concepts": np.array(json.dumps(concepts)), "styles": np.array(json.dumps(pictures.styles))}
        drawings = to_webp(pictures.masters[pictures.present])
        return write_pack(path, EMOJI, {"present": pictures.present, **texts, **drawings})


@dataclass(frozen=True)
class VaePictures:
    """What an autoencoder learns from, and the installed one with its figures where that is refined."""

    pictures: EmojiPictures
    installed: tuple[nn.Module, dict[str, Any]] | None


@dataclass(frozen=True)
class VaeTraining(_EmojiPart[VaePictures]):
    """The training of the autoencoder, or, to refine it, of the installed one's decoder; the latents stay then.

    Attributes:
        name: of the model.
        minutes: on one H100.
    """

    name: str = VAE
    minutes: float = 1.75

    def load(self, options: RefiningOptions) -> VaePictures:
        pictures = self.pictures(options)
        return VaePictures(pictures, (load_vae(), load_vae_figures()) if options.refine else None)

    def task(self, data: VaePictures, options: RefiningOptions) -> VaeTask:
        batch = _batch(options, 0)
        if data.installed is None:
            return VaeTask.create(data.pictures, batch=batch)
        table = PictureTable.of(data.pictures)
        return DecoderTask(copy.deepcopy(data.installed[0]), table, table.masters, batch)

    def plan(self, minutes: float, options: RefiningOptions) -> TrainingPlan:
        if options.refine:  # for so many minutes more
            return TrainingPlan(minutes, 4e-4, warmup_steps=60, decay_fraction=0.6, ema_decay=0.995)
        return TrainingPlan(minutes, 8e-4, warmup_steps=100, ema_decay=0.998, checkpoint_minutes=5)

    def checkpoint(self, options: RefiningOptions) -> Path:
        first = super().checkpoint(options)
        return first.with_name(f"{VAE}_decoder.ckpt") if options.refine else first

    def save(
        self, folder: Path, network: nn.Module, data: VaePictures, facts: TrainingFacts, options: RefiningOptions
    ) -> None:
        vae, table = cast(Any, network), PictureTable.of(data.pictures)
        if data.installed is not None:
            before, figures = data.installed
            decoder = {
                "minutes": facts.minutes,
                "steps": facts.steps,
                "batch": facts.batch,
                "hardware": facts.hardware,
                "psnr_before": reconstruction(before, table)["psnr"],
            }
            save_vae(folder, vae, {**figures, **reconstruction(vae, table), "decoder": decoder})
            return
        latents = encode_versions(vae, table, versions=2, device=options.device).float()
        mean, deviation = latents.mean(dim=(0, 1, 3, 4)), latents.std(dim=(0, 1, 3, 4))
        normalise_latents(vae, mean, deviation)
        vae.register_to_config(scaling_factor=1.0)
        trained = {
            "mean_before": mean.tolist(),
            "deviation_before": deviation.tolist(),
            "steps": facts.steps,
            "batch": facts.batch,
            "minutes": facts.minutes,
            "loss": facts.loss,
            "hardware": facts.hardware,
        }
        save_vae(folder, vae, reconstruction(vae, table) | trained)


def reconstruction(vae: Any, table: PictureTable) -> dict[str, float]:
    """PSNR in dB on UNSEEN augmented pictures that no step has drawn, with float32 and float16 weights."""
    generator = torch.Generator().manual_seed(10**6)
    unseen = table.draw(torch.randint(len(table.masters), (UNSEEN,), generator=generator), generator)
    return {"psnr": psnr(vae, unseen), "psnr_float16": psnr(vae_in_half(vae, unseen[:1]), unseen)}


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
class EmojiTraining(_EmojiPart[EmojiData]):
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
        empty, batch = data.captions.empty.long(), _batch(options, 2)
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


TRAININGS: dict[str, Training[Any, Any]] = {one.name: one for one in (VaeTraining(), EmojiTraining(), ScorerTraining())}
