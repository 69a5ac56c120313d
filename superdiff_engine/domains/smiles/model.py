r"""LDMol from a converted folder: prompts as experts of one network, in one batched call; latents written as SMILES.

    y = x_t / alpha_t,  s = sigma_t / alpha_t          DDPM's linear betas, 1000 steps (noise.DiscreteVP.linear)
    S(y, s | text) = -eps(alpha_t y, t, text) / s

Guidance is classifier-free and leads away from the sentence that stands for "no text" (text.py). Whatever is said in a
run is read once, by the text encoder, which is let go afterwards: it is the largest of the three networks.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel
from torch import Tensor, nn

from ...errors import ModelError
from ...geometry import Euclidean, State
from ...noise import DiscreteVP
from ...score import ConditionedScore, score_from_prediction
from ...system.file_cache import file_cached
from ...system.memory import is_out_of_memory
from ...training import saved
from ...training.saved import load_network
from .autoencoder import SmilesDecoder
from .network import LatentTransformer
from .text import NULL_PROMPT, read_texts
from .vocabulary import Vocabulary

__all__ = ["SCHEDULE", "Said", "TextToSmiles", "load_model"]

#: The forward process that LDMol was trained on.
SCHEDULE = DiscreteVP.linear()
TRANSFORMER, DECODER, VOCABULARY = "transformer", "decoder", "vocabulary.txt"
#: Prompts that are kept as the text encoder reads them, and molecules that are written at once.
_KEPT, _WRITTEN_AT_ONCE = 64, 64


class NetworkSettings(BaseModel):
    """Settings of both networks."""

    transformer: dict[str, Any]
    decoder: dict[str, Any]


class SmilesSettings(BaseModel):
    """What config.json of a converted folder says of its networks."""

    title: str
    network: NetworkSettings


@dataclass(frozen=True)
class Said:
    """A prompt as the text encoder reads it.

    Attributes:
        title: for charts and messages.
        tokens: of the text, float32 [L, width].
        warnings: what the user should know of it, in sentences.
    """

    title: str
    tokens: Tensor
    warnings: tuple[str, ...] = ()


class TextToSmiles:
    """LDMol's networks, whose experts are prompts (a `SharedNetwork`).

    Args:
        transformer: the denoiser.
        decoder: writes SMILES.
        vocabulary: its pieces.
        folder: that holds the text encoder.
        title: for charts and messages.
        device: that the networks stand on.
    """

    def __init__(
        self,
        transformer: LatentTransformer,
        decoder: SmilesDecoder,
        vocabulary: Vocabulary,
        folder: Path,
        title: str,
        device: str = "cpu",
    ) -> None:
        self.transformer, self.decoder, self.vocabulary, self.title = transformer, decoder, vocabulary, title
        self._folder, self._device = folder, device
        self._said: OrderedDict[str, Said] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def space(self) -> Euclidean:
        """The latents of one molecule: [tokens, channels]."""
        return Euclidean((self.transformer.tokens, self.transformer.channels))

    def read(self, prompts: Sequence[str]) -> list[Said]:
        """Prompts as the text encoder reads them; those that were read before are not read again.

        Raises:
            ModelError: when the text encoder cannot be read or does not fit the network.
        """
        with self._lock:
            new = [text for text in dict.fromkeys(prompts) if text not in self._said]
            if new:
                for text, (tokens, cut) in zip(new, read_texts(self._folder, new, self._device), strict=True):
                    if tokens.shape[1] != self.transformer.text_width:
                        raise ModelError(
                            f"The text encoder of {self.title} gives {tokens.shape[1]} numbers a token and the network "
                            f"reads {self.transformer.text_width}; convert it again with its own encoder."
                        )
                    warnings = (f"'{text[:60]}' was cut: {self.title} read its beginning alone.",) if cut else ()
                    self._said[text] = Said(text, tokens, warnings)
            found = [self._said[text] for text in prompts]
            for text in prompts:
                self._said.move_to_end(text)
            while len(self._said) > _KEPT:
                self._said.popitem(last=False)
            return found

    def experts(self, prompts: Sequence[str]) -> list[ConditionedScore]:
        """An expert for each prompt."""
        return [ConditionedScore(self, said, self.space, said.title) for said in self.read(prompts)]

    @property
    def networks(self) -> list[nn.Module]:
        """The denoiser."""
        return [self.transformer]

    def reference(self, negative_prompt: str = "") -> ConditionedScore:
        """What guidance leads away from: no text, or a negative prompt."""
        (said,) = self.read([negative_prompt or NULL_PROMPT])
        title = f"not: {negative_prompt}" if negative_prompt else "unconditional"
        return ConditionedScore(self, said, self.space, title)

    def scores(self, y: Tensor, level: float, conditions: Sequence[Said]) -> list[State]:
        """The score under each condition, like y [batch, tokens, channels], from one batched call.

        Raises:
            ModelError: when the memory does not suffice.
        """
        levels = torch.tensor([float(level)], dtype=torch.float64)
        alpha, sigma = float(SCHEDULE.alpha(levels)[0]), float(SCHEDULE.sigma(levels)[0])
        x = alpha * y
        text, mask = _stacked(conditions, len(y))
        time = torch.full((len(x) * len(conditions),), float(SCHEDULE.time(levels)[0]), device=y.device)
        try:
            out = self.transformer(x.float().repeat(len(conditions), 1, 1), time, text.to(y.device), mask.to(y.device))
        except (RuntimeError, MemoryError) as error:
            if is_out_of_memory(error):
                raise ModelError(
                    f"{self.title} needs more memory than there is for {len(x)} samples of {len(conditions)} prompts; "
                    "choose fewer samples."
                ) from None
            raise
        noise = out.to(y.dtype).split(len(x))
        return [score_from_prediction("epsilon", each, x, alpha, sigma) for each in noise]

    @torch.no_grad()
    def write(self, latents: Tensor) -> list[str]:
        """The SMILES that denoised latents [n, tokens, channels] stand for, which need not be valid."""
        found: list[str] = []
        for some in latents.float().split(_WRITTEN_AT_ONCE):
            found += self.decoder.write(some, self.vocabulary)
        return found


def _stacked(conditions: Sequence[Said], batch: int) -> tuple[Tensor, Tensor]:
    """Texts [conditions * batch, L, width] and bool masks [conditions * batch, L]; each condition `batch` times."""
    text = torch.nn.utils.rnn.pad_sequence([said.tokens for said in conditions], batch_first=True)
    lengths = torch.tensor([len(said.tokens) for said in conditions])
    mask = torch.arange(text.shape[1]) < lengths.unsqueeze(1)
    return text.repeat_interleave(batch, 0), mask.repeat_interleave(batch, 0)


@file_cached(1)
def load_model(folder: Path, device: str = "cpu") -> TextToSmiles:
    """LDMol from a converted folder, kept in memory for the next run; raises ModelError with one sentence."""
    settings = saved.load_settings(folder, SmilesSettings, "LDMol")
    transformer = load_network(folder / TRANSFORMER, LatentTransformer, settings.network.transformer, device, "LDMol")
    decoder = load_network(folder / DECODER, SmilesDecoder, settings.network.decoder, device, "LDMol")
    vocabulary = Vocabulary.read(folder / VOCABULARY, decoder.words.num_embeddings)
    return TextToSmiles(transformer, decoder, vocabulary, folder, settings.title, device)
