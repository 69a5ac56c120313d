"""Training of the autoencoder of 128 x 128 pictures, or of its decoder alone; see `prompts/train.py`."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from ....training.task import Draws, TrainingFacts, TrainingPlan
from ....training.training import RefiningOptions
from .networks import autoencoder, encode
from .rendering import EmojiPictures
from .saving import (
    VAE,
    load_vae,
    load_vae_figures,
    save_vae,
    vae_in_half,
)
from .stage import BATCHES, Convolutions, EmojiPart, batch_size
from .training_data import PictureTable, augment, encode_versions

#: Augmented pictures on which an autoencoder is measured.
UNSEEN = 256


@dataclass
class VaeTask(Convolutions):
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


def reconstruction(vae: Any, table: PictureTable) -> dict[str, float]:
    """PSNR in dB on UNSEEN augmented pictures that no step has drawn, with float32 and float16 weights."""
    generator = torch.Generator().manual_seed(10**6)
    unseen = table.draw(torch.randint(len(table.masters), (UNSEEN,), generator=generator), generator)
    return {"psnr": psnr(vae, unseen), "psnr_float16": psnr(vae_in_half(vae, unseen[:1]), unseen)}


@dataclass(frozen=True)
class VaePictures:
    """What an autoencoder learns from, and the installed one with its figures where that is refined."""

    pictures: EmojiPictures
    installed: tuple[nn.Module, dict[str, Any]] | None


@dataclass(frozen=True)
class VaeTraining(EmojiPart[VaePictures]):
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
        batch = batch_size(options, 0)
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
