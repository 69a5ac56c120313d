r"""Text-to-image pipelines as experts: one network, one expert a prompt.

A latent diffusion model (Rombach et al. 2022, arXiv 2112.10752) denoises latents x_t of a VAE. In canonical coordinates
y = x_t / alpha_t a prompt c is an expert with the score S(y, s | c), where (alpha, sigma, time) at the level
s = sigma / alpha come from the model's own process:

    Stable Diffusion 1, 2, XL    alpha^2 = alphas_cumprod[t]             epsilon, v or x_0 prediction
    Stable Diffusion 3           alpha = 1 - t / 1000, sigma = t / 1000  flow prediction

All prompts, and the unconditional expert of guidance, are rows of one batched call to the network. Samples live in
latent space: [C, H / f, W / f] for pictures of H x W pixels, with the VAE's factor f (8).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...errors import ModelError
from ...geometry import Euclidean, State
from ...score import ConditionedScore, Guidance, score_from_prediction
from ...system.file_cache import file_cached
from ...system.memory import is_out_of_memory
from ..picture_files import to_uint8
from .encoding import Condition, encode, zeros_like
from .loading import LoadedPipeline, PipelineOptions, load_pipeline
from .previews import LatentMap

#: Pictures that the VAE decodes at once: its activations are far larger than the latents.
DECODED_AT_ONCE = 4
#: Prompts whose embeddings are kept.
PROMPTS_KEPT = 64

#: No way to save memory or time.
PLAIN = PipelineOptions()

Size = tuple[int, int]


@file_cached(2)
def load_text_to_image(
    folder: Path, device: str = "cpu", dtype: str = "float32", options: PipelineOptions = PLAIN
) -> TextToImage:
    """A pipeline's network, kept in memory with its embeddings for the next expert and the next run.

    Args:
        folder: of the pipeline, with model_index.json.
        device: a torch device.
        dtype: "float32", "float16" or "bfloat16", what the networks compute in; scores are float32.
        options: ways to save memory or time.

    Raises:
        ModelError: with one sentence, when the folder is not what it should be.
    """
    return TextToImage(load_pipeline(folder, device, dtype, options))


class RowsAtOnce:
    """Rows through a network: all at once, and when the memory is short half as many from then on.

    Attributes:
        most: rows at once; None for all.
        splits: how often the memory was short.
    """

    def __init__(self, most: int | None = None) -> None:
        self.most, self.splits = most, 0

    def run(self, function: Callable[[slice], Tensor], rows: int, title: str) -> Tensor:
        """`function` of slices that cover `rows` rows, put together again.

        Raises:
            ModelError: when the memory does not suffice for a single row.
        """
        parts: list[Tensor] = []
        start = 0
        while start < rows:
            count = min(rows - start, self.most or rows)
            part = _attempt(function, slice(start, start + count))
            if part is not None:
                parts.append(part)
                start += count
                continue
            if count == 1:
                raise ModelError(
                    f"{title} needs more memory for one picture than there is; choose float16 or bfloat16, a smaller "
                    "picture, attention slicing or CPU offload."
                )
            self.most, self.splits = count // 2, self.splits + 1
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
        return torch.cat(parts)


def _attempt(function: Callable[[slice], Tensor], rows: slice) -> Tensor | None:
    """None when the memory is short; by then the failed call's tensors are free."""
    try:
        return function(rows)
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            return None
        raise


class TextToImage:
    """A text-to-image network whose experts are prompts (a `SharedNetwork`).

    Attributes:
        pipe: diffusers' pipeline.
        schedule: the forward process that the network was trained on.
        title: for charts and messages.
        size: (height, width) in pixels that the model was trained for.
        channels: of the latents.
    """

    def __init__(self, loaded: LoadedPipeline) -> None:
        self.pipe, self.family = loaded.pipe, loaded.family
        self.schedule, self.prediction, self.title = loaded.schedule, loaded.prediction, loaded.title
        network = getattr(self.pipe, self.family.network)
        self.dtype: torch.dtype = network.dtype
        self.channels = int(network.config.in_channels)
        sides = network.config.sample_size
        height, width = (sides, sides) if isinstance(sides, int) else sides
        self.factor = int(self.pipe.vae_scale_factor)
        self.size: Size = (height * self.factor, width * self.factor)
        self._latent_rgb = _latent_map(loaded, self.channels)
        self._rows, self._decoded = RowsAtOnce(), RowsAtOnce(DECODED_AT_ONCE)
        self._exact_vae = loaded.exact_vae
        self._of_model, self._splits_before = loaded.notes, 0
        self._of_decoding: list[str] = []
        self._encoded = lru_cache(maxsize=PROMPTS_KEPT)(self._encode)

    def for_a_run(self) -> TextToImage:
        """The same network for one run: what is told of the run (`splits`, `notes`) begins anew."""
        run = copy.copy(self)
        run._of_decoding, run._splits_before = [], self._rows.splits + self._decoded.splits
        return run

    @property
    def splits(self) -> int:
        """How often a batched call was halved because the memory was short."""
        return self._rows.splits + self._decoded.splits - self._splits_before

    @property
    def notes(self) -> list[str]:
        """What the user should know of the model and of the pictures that were decoded last, in sentences."""
        return [*self._of_model, *self._of_decoding]

    @property
    def level_range(self) -> tuple[float, float]:
        """(lowest, highest) level that the network was trained on.

        For flow matching the highest is 999 (t = 0.999): at t = 1 no signal is left, alpha = 0, and y = x_t / alpha
        does not exist. The prior there, N(0, 999^2), differs from the noised data by a millionth of its variance.
        """
        return self.schedule.lowest, self.schedule.highest

    # Prompts

    def encode(self, prompt: str) -> Condition:
        """A prompt's embeddings, computed once; `warnings` says what of it was cut off.

        Raises:
            ModelError: for an empty prompt.
        """
        if not prompt.strip():
            raise ModelError("A prompt is empty; write what the picture should show.")
        return self._encoded(prompt)

    def unconditional(self, negative_prompt: str = "") -> Condition:
        """What guidance leads away from: the empty prompt (zeros where the model wants that), or a negative prompt."""
        condition = self._encoded(negative_prompt)
        if negative_prompt.strip():
            return replace(condition, title=f"not: {negative_prompt}")
        return replace(zeros_like(condition) if self.family.blank(self.pipe) else condition, title="unconditional")

    def _encode(self, prompt: str) -> Condition:
        return encode(self.family, self.pipe, prompt)

    # Scores

    def space(self, size: Size | None = None) -> Euclidean:
        """Latents of pictures of `size` = (height, width) pixels; None for the model's own size.

        Raises:
            ModelError: for a size that the model cannot make.
        """
        height, width = self.size if size is None else size
        self.check_size(height, width)
        return Euclidean((self.channels, height // self.factor, width // self.factor))

    def check_size(self, height: int, width: int) -> None:
        """Raise ModelError when the model cannot make pictures of this height and width in pixels."""
        step, most = self.family.granularity(self.pipe), self.family.largest_side(self.pipe)
        if height % step or width % step or min(height, width) < step:
            near = [max(step, round(side / step) * step) for side in (height, width)]
            raise ModelError(
                f"{self.title} makes pictures whose height and width are multiples of {step} pixels, not {height} x "
                f"{width}; the nearest is {near[0]} x {near[1]}."
            )
        if most is not None and max(height, width) > most:
            raise ModelError(
                f"{self.title} makes pictures of at most {most} pixels a side, not {height} x {width}; choose a "
                "smaller size."
            )

    def expert(self, prompt: str, size: Size | None = None) -> ConditionedScore:
        """The expert of a prompt, for pictures of `size` (height, width)."""
        return self._expert(self.encode(prompt), size)

    def guidance(
        self, weight: float | Callable[[float], float], negative_prompt: str = "", size: Size | None = None
    ) -> Guidance:
        """Classifier-free guidance whose reference goes through the network in the same call as the experts.

        Args:
            weight: w, or a function of the level (`interval_guidance`).
            negative_prompt: what to lead away from; empty for the unconditional expert.
            size: as of the experts.
        """
        reference: Any = self._expert(self.unconditional(negative_prompt), size)
        return Guidance(reference, weight)

    @property
    def networks(self) -> list[torch.nn.Module]:
        """The denoiser."""
        return [getattr(self.pipe, self.family.network)]

    def _expert(self, condition: Condition, size: Size | None) -> ConditionedScore:
        return ConditionedScore(self, condition, self.space(size), condition.title)

    def scores(self, y: Any, level: Any, conditions: Sequence[Condition]) -> list[State]:
        """The score under each condition, like y [batch, C, h, w], from one batched call (several if memory is short).

        Raises:
            ModelError: when the memory does not suffice for a single latent, or compiling fails.
        """
        repeated = [condition for condition in conditions for _ in range(len(y))]
        return list(self.score_each(torch.cat([y] * len(conditions)), level, repeated).split(len(y)))

    def score_each(self, y: Tensor, level: float, conditions: Sequence[Condition]) -> Tensor:
        """The score of each row of y [rows, C, h, w] under the condition of that row, like y; raises as `scores`."""
        levels = torch.tensor([float(level)], dtype=torch.float64)
        alpha, sigma = float(self.schedule.alpha(levels)[0]), float(self.schedule.sigma(levels)[0])
        time = torch.full((1,), float(self.schedule.time(levels)[0]), dtype=torch.float32, device=y.device)
        x = alpha * y
        latents = x.to(self.dtype)

        def predict(rows: slice) -> Tensor:
            chosen = conditions[rows]
            given = [condition.pooled for condition in chosen if condition.pooled is not None]
            embeddings = torch.cat([condition.embeddings for condition in chosen])
            return self._predict(
                latents[rows], time.expand(len(chosen)), embeddings, torch.cat(given) if given else None
            )

        out = self._rows.run(predict, len(y), self.title).to(y.dtype)
        return score_from_prediction(self.prediction, out, x, alpha, sigma)

    def _predict(self, x: Tensor, time: Tensor, embeddings: Tensor, pooled: Tensor | None) -> Tensor:
        try:
            return self.family.predict(self.pipe, x, time, embeddings, pooled)
        except torch._dynamo.exc.TorchDynamoException as error:
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ModelError(f"torch.compile failed on {self.title} ({first}); switch compiling off.") from error

    # Pictures

    @torch.no_grad()
    def decode(self, latents: Tensor) -> np.ndarray:
        """Pictures uint8 [n, H, W, 3] of denoised latents [n, C, h, w], by the VAE; `notes` says what was hard.

        Pictures that overflow in half precision are decoded again in float32. Those that are not finite even then are
        black.

        Raises:
            ModelError: when that is true of all of them, or the memory does not suffice for one.
        """
        pictures, again, reason = self._decode(latents)
        finite = _finite(pictures)
        lost = (~finite).nonzero().flatten().tolist()
        if len(lost) == len(pictures):
            raise ModelError(reason)
        kind, count = str(self.pipe.vae.dtype).removeprefix("torch."), len(pictures)
        self._of_decoding = []
        if saved := int((finite & again).sum()):
            self._of_decoding.append(
                f"The VAE of {self.title} overflows in {kind}; decoded again in float32: {saved} of {count} pictures."
            )
        if lost:
            self._of_decoding.append(
                f"{len(lost)} of {count} pictures could not be decoded and are black ({', '.join(map(str, lost))}, "
                f"counted from 0); their samples are kept. {reason}"
            )
        return _uint8(pictures)

    def _decode(self, latents: Tensor) -> tuple[Tensor, Tensor, str]:
        """Pictures [n, 3, H, W], about [-1, 1], which [n] were tried again in float32, and why some are not finite."""
        codes = self._codes(latents.float().cpu())
        readable = _finite(codes)
        pictures = self._through(self.pipe.vae, codes.where(readable.view(-1, 1, 1, 1), 0))
        pictures[~readable] = torch.nan
        reason = (
            f"The VAE of {self.title} gives no finite numbers for them, in float32 either; take a model with another "
            "VAE, or a lower guidance."
        )
        again = readable & ~_finite(pictures)
        if self.pipe.vae.dtype == torch.float32 or not again.any():
            return pictures, torch.zeros_like(again), reason
        vae = self._exact_vae()
        try:
            pictures[again] = self._through(torch.nn.Module.to(vae, self.pipe._execution_device), codes[again])
        except ModelError as error:  # the memory is short: the other pictures are there
            reason = str(error)
        finally:
            torch.nn.Module.to(vae, "cpu")
        return pictures, again, reason

    def _codes(self, latents: Tensor) -> Tensor:
        """What the VAE reads, float32, of latents."""
        config = self.pipe.vae.config
        mean, std = config.get("latents_mean"), config.get("latents_std")
        if mean is None or std is None:
            return latents / config.scaling_factor + (config.get("shift_factor") or 0.0)
        # Some models of the XL family.
        shift = torch.tensor(mean).view(1, -1, 1, 1).to(latents)
        return latents * torch.tensor(std).view(1, -1, 1, 1).to(latents) / config.scaling_factor + shift

    def _through(self, vae: Any, codes: Tensor) -> Tensor:
        """Pictures [n, 3, H, W], float32 on the CPU, of codes; a few at once."""
        moved = codes.to(device=self.pipe._execution_device, dtype=vae.dtype)

        def decoded(rows: slice) -> Tensor:
            return vae.decode(moved[rows], return_dict=False)[0].float().cpu()

        return self._decoded.run(decoded, len(moved), self.title)

    @torch.no_grad()
    def preview(self, latents: Tensor) -> np.ndarray:
        """Small pictures uint8 [n, b h, b w, 3] of denoised latents by a linear map of previews.py, b x b pixels each.

        Where no map is known for the model the VAE decodes the first few: [at most DECODED_AT_ONCE, H, W, 3].
        """
        if self._latent_rgb is None:
            return _uint8(self._decode(latents[:DECODED_AT_ONCE])[0])
        return to_uint8(self._latent_rgb(latents))


def _finite(batch: Tensor) -> Tensor:
    """Bool [n], on the CPU: which rows of a batch [n, ...] hold nothing but finite numbers."""
    return batch.isfinite().flatten(1).all(1).cpu()


def _uint8(pictures: Tensor) -> np.ndarray:
    """Pictures uint8 [n, H, W, 3]; black where one is not finite, as grey might be taken for a picture."""
    return to_uint8(pictures.where(_finite(pictures).view(-1, 1, 1, 1), -1))


def _latent_map(loaded: LoadedPipeline, channels: int) -> LatentMap | None:
    """The model's own map to colours, else the family's if it has as many latent channels, else None."""
    own = loaded.settings.latent_rgb
    if own is not None:
        try:
            return LatentMap.of(own, channels)
        except ValueError as error:
            raise ModelError(
                f"latent_rgb in superdiff.json of {loaded.title} must be {error}; correct it or remove it."
            ) from None
    known = loaded.family.latent_rgb
    return (
        LatentMap.of([[*column, 0.0] for column in zip(*known, strict=True)], channels)
        if len(known) == channels
        else None
    )


def interval_guidance(weight: float, low: float, high: float) -> Callable[[float], float]:
    """Guidance of `weight` at levels within (low, high], and none (w = 1) outside.

    At high levels guidance costs variety, at low ones it does nothing (Kynkaanniemi et al. 2024, arXiv 2404.07724,
    eq. 5; their sigma is the level s).

    Raises:
        ValueError: if low is not below high.
    """
    if not 0 <= low < high:
        raise ValueError(f"Guidance in an interval needs 0 <= low < high, got {low} and {high}.")
    return lambda level: weight if low < level <= high else 1.0
