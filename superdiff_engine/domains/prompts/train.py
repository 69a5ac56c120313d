"""Training of the embedded text-to-image model of emoji, on two CPU cores, in two stages that each can be resumed.

1. "emoji_vae": an autoencoder of 64 x 64 pictures. Afterwards the mean m_c and the deviation s_c of every latent
   channel c are measured and folded into its 1 x 1 convolutions, exactly:

       z'_c = (z_c - m_c) / s_c    (quant_conv)          z_c = s_c z'_c + m_c    (post_quant_conv)

   so latents have mean 0 and variance 1 in each channel, as the noise schedule assumes, with scaling_factor = 1.
   (Stable Diffusion's pipelines know one factor, and no shift.)

2. "emoji": first the text encoder alone learns, for some minutes, what the pictures of a caption look like on average,
   and which captions speak of the same concept and style (InfoNCE, van den Oord et al. 2018, arXiv 1807.03748). Then it
   stays as it is, as CLIP does in Stable Diffusion, and the U-Net learns v-prediction in latents of augmented pictures
   that are encoded once. Trained along with the U-Net the embeddings of 948 concepts fell together: the dimensions that
   they fill (the exponential of the entropy of their principal variances) went from 52 to 6 within 3,000 steps, and
   prompts changed colours but no outlines.

Classifier-free guidance (Ho and Salimans 2022, arXiv 2207.12598) needs the empty prompt: a tenth of the captions.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from ...errors import ModelError
from ...noise import DiscreteVP
from ...training import (
    TrainingFacts,
    TrainingPlan,
    TrainingProgress,
    cannot_refine,
    checkpoints_folder,
    denoising_loss,
    train,
    training_target,
)
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
    SCORER,
    VAE,
    begun_model,
    build_pipeline,
    load_facts,
    load_pipeline,
    load_vae,
    save_model,
    save_vae,
    vae_in_half,
)
from .training_data import CaptionTable, PictureTable, encode_versions, picture_rows, unmoved
from .vocabulary import is_learned

#: Minutes on two CPU cores that each model has had; the emoji's are its U-Net's, after the text encoder's.
MINUTES = {VAE: 40.0, EMOJI: 304.0, SCORER: 40.0}
TEXT_MINUTES = 35.0
#: Trainings longer than this compile the U-Net first: two and a half minutes, for steps that take 0.85 of the time.
COMPILE_MINUTES = 15.0
CHECKPOINTS = checkpoints_folder()
EMPTY_CAPTIONS = 0.1
#: Levels of training, log s ~ N(mean, deviation^2), for latents of variance 1. A concept's outline is decided at s from
#: 1 to 12: neighbouring latents are alike, so noise must be strong to hide what they share. (With a mean of -0.2 half
#: of the training went below s = 0.8, where all is settled: colours were learned, outlines were not.) Two deviations
#: span s = 0.25 to 20; the schedule ends at 14.6.
LOG_LEVEL = (0.8, 1.1)


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


@dataclass
class TextTask:
    """What a caption's picture looks like on average, and which of the other captions say the same.

    The pictures are regressed on (mean squared error), so that texts of similar pictures come to lie close together and
    the U-Net has little to undo; InfoNCE with temperature 0.07 keeps those apart that look alike. Every concept is in
    a batch three times, by captions that name no style and two different ones.

    Attributes:
        network: `Grounding`.
        captions: of every style and concept.
        pictures: float32 [1 + styles, concepts, numbers]: the mean over all styles, then each style's.
    """

    network: nn.Module
    captions: CaptionTable
    pictures: Tensor
    concepts: int = 32
    contrast: float = 0.05

    def loss(self, generator: torch.Generator) -> Tensor:
        styles, concepts = self.captions.count.shape
        chosen = torch.randperm(concepts, generator=generator)[: self.concepts]
        order = torch.rand(len(chosen), styles, generator=generator).argsort(1)
        concept, style = chosen.repeat(3), torch.cat([order[:, 0], order[:, 0], order[:, 1]])
        styled = torch.arange(3).repeat_interleave(len(chosen)) > 0
        drawn = [self.captions.draw(style, concept, generator, styled) for _ in range(2)]
        texts, pictures = self.network(torch.cat(drawn))
        logits = texts[: len(concept)] @ texts[len(concept) :].T / 0.07
        target = torch.arange(len(concept))
        apart = 0.5 * (functional.cross_entropy(logits, target) + functional.cross_entropy(logits.T, target))
        meant = self.pictures[torch.where(styled, style + 1, 0), concept]
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
    overall = each.sum(0) / there.sum(0)
    return torch.cat([overall.unsqueeze(0), torch.where(there, each, overall)])


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
    batch: int = 32
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


def train_model(
    name: str,
    minutes: float | None = None,
    data_folder: Path | None = None,
    report: Callable[[TrainingProgress], None] = lambda progress: None,
    folder: Path | None = None,
    refine: bool = False,
) -> Path:
    """Train a part of the emoji model and write its folder; resumes from `checkpoints_folder()`.

    Args:
        name: "emoji_vae", then "emoji", which takes up the trained autoencoder; "emoji_scorer", their judge.
        minutes: of training in all, resumed ones included; None for the model's own.
        data_folder: with the npm packages; None for ~/.cache/superdiff/data/emoji.
        report: called about every ten seconds.
        folder: where the folder `name` is written; None for the embedded models' own.
        refine: whether, without a checkpoint, "emoji" begins with the weights in that folder, or else with those of
            the unfinished model, and the minutes that they have had.

    Returns:
        The folder that was written.

    Raises:
        ModelError: for another name, without a trained autoencoder, when its float16 weights overflow, or when there
            is nothing to refine.
        FileNotFoundError: when the data are not there; the message says how to get them.
    """
    minutes, target = training_target(name, minutes, MINUTES, folder)
    if refine and name != EMOJI:
        raise cannot_refine(name)
    if name == SCORER:
        from .scorer_train import train_scorer  # which draws its pictures as this module does

        return train_scorer(minutes, data_folder, report, target, CHECKPOINTS / f"{SCORER}.ckpt")
    pictures = load_pictures(data_folder)
    if name == VAE:
        return _train_vae(pictures, minutes, report, target)
    return _train_emoji(pictures.only(is_learned), minutes, report, target, refine)


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
        "loss": progress.last_loss(),
    }
    save_vae(target, vae, figures)
    return target


def _train_emoji(
    pictures: EmojiPictures, minutes: float, report: Callable[[TrainingProgress], None], target: Path, refine: bool
) -> Path:
    vae, checkpoint = load_vae(), CHECKPOINTS / f"{EMOJI}.ckpt"
    refine = refine and not checkpoint.is_file()
    if refine:
        begun_in = begun_model(target)
        installed = load_pipeline(begun_in)
        shutil.copytree(begun_in / "tokenizer", CHECKPOINTS / f"{EMOJI}_tokenizer", dirs_exist_ok=True)
    # A training that was stopped while the text encoder learned goes on there.
    begun = refine or checkpoint.is_file() or _text_checkpoint().is_file()
    tokenizer = _tokenizer(pictures.concepts, renew=not begun)
    captions = CaptionTable.of(pictures.concepts, pictures.styles, tokenizer, FILLERS)
    table = PictureTable.of(pictures)
    latents = encode_versions(vae, table)
    rows = picture_rows(table, len(pictures.styles), len(pictures.concepts))
    torch.manual_seed(0)
    network = new_network(tokenizer)
    begin = None
    if refine:
        network.text.load_state_dict(installed.text_encoder.state_dict())
        network.unet.load_state_dict(installed.unet.state_dict())
        begin = load_facts(begun_in).progress()
    elif not checkpoint.is_file():
        means = mean_pictures(latents, rows)
        grounding = Grounding(network.text, means.shape[2])
        warm = TrainingPlan(min(TEXT_MINUTES, minutes))
        learned, _ = train(TextTask(grounding, captions, means), warm, _text_checkpoint(), report)
        network.text = cast(Grounding, learned).text
    network.text.requires_grad_(False)
    task = EmojiTask(network, latents, rows, captions)
    if minutes > COMPILE_MINUTES and shutil.which("c++"):
        cast(nn.Module, network.unet).compile()  # in place: the names of its weights stay
    plan = TrainingPlan(minutes, 6e-4, warmup_steps=300, decay_fraction=0.2)
    trained, progress = train(task, plan, checkpoint, report, begin=begin)
    facts = TrainingFacts.of(progress, task.batch)
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
