"""What the networks of emoji learn from: pictures, shifted and scaled at random, and captions, as tables of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ....system.devices import half_dtype
from .captions import STYLE_WORDS, caption_words, token_ids, training_captions
from .concepts import Concept
from .networks import encode
from .rendering import SIZE, EmojiPictures

#: Augmented versions of every picture that are encoded before the training.
VERSIONS = 8
#: How far these are moved: about two pixels. At the full amount a third of the latents' variance was where a picture
#: stood, which the U-Net spent its training on.
MOVED = 0.35
#: How many of the pictures that may be mirrored are: a prompt that means two pictures, each the other's mirror image,
#: means neither at strong noise.
MIRRORED = 0.125
#: How many captions are drawn with words that mean nothing in between, and how many of these at most.
FILLED = 0.3
MOST_FILLERS = 4
#: Captions of every style and concept that are drawn before the training: half of them do not name the style.
CAPTIONS = 48


def augment(masters: Tensor, moves: Tensor, mirrored: Tensor, amount: float = 1.0) -> Tensor:
    """Pictures [batch, 3, 128, 128] in [-1, 1] of masters uint8 [batch, 3, 192, 192], shifted and scaled.

    Args:
        masters: in RGB.
        moves: [batch, 3] in [0, 1): of scales (0.9 to 1.04) and shifts (up to 6 pixels of the result each way).
        mirrored: bool [batch], which ones to mirror.
        amount: of moves, 1 for these ranges, 0 for none.
    """
    scale = 1 / (1 + amount * (0.14 * moves[:, 0] - 0.1))
    shift = (moves[:, 1:] * 2 - 1) * (3 * amount / 32)
    pictures = masters.float().div(127.5).sub(1)
    side = pictures.shape[2]
    # By hand: affine_grid multiplies matrices, in half precision under autocast.
    pixel = (2 * torch.arange(side, device=masters.device) + 1) / side - 1
    across = torch.where(mirrored, -scale, scale).unsqueeze(1) * pixel + shift[:, :1]
    down = scale.unsqueeze(1) * pixel + shift[:, 1:]
    grid = torch.stack([across.unsqueeze(1).expand(-1, side, -1), down.unsqueeze(2).expand(-1, -1, side)], dim=-1)
    moved = functional.grid_sample(pictures, grid, padding_mode="border", align_corners=False)
    return functional.interpolate(moved, size=(SIZE, SIZE), mode="bicubic", antialias=True).clamp(-1, 1)


def unmoved(masters: Tensor, size: int = SIZE) -> Tensor:
    """Pictures [batch, 3, size, size] in [-1, 1] of masters uint8 [batch, 3, 192, 192], without augmentation."""
    pictures = masters.float().div(127.5).sub(1)
    return functional.interpolate(pictures, size=(size, size), mode="bicubic", antialias=True).clamp(-1, 1)


@dataclass(frozen=True)
class PictureTable:
    """All pictures there are, in one row each.

    Attributes:
        masters: uint8 [pictures, 3, 192, 192].
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

    def moves(self, rows: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """What `augment` needs of some rows: moves [rows, 3], and which are mirrored: an eighth of those that may."""
        mirrored = self.mirrors[rows] & (torch.rand(len(rows), generator=generator) < MIRRORED)
        return torch.rand(len(rows), 3, generator=generator), mirrored

    def draw(self, rows: Tensor, generator: torch.Generator, amount: float = 1.0) -> Tensor:
        """Pictures [rows, 3, 128, 128], augmented by `amount`."""
        return augment(self.masters[rows], *self.moves(rows, generator), amount)


@dataclass(frozen=True)
class CaptionTable:
    """Token ids of all training captions, and where those of each (style, concept) are.

    Attributes:
        tokens: int32 [captions, 32].
        first: int64 [styles, concepts], row of the first caption.
        count: int64 [styles, concepts].
        plain: int64 [styles, concepts], how many of these, the first ones, do not name the style.
        empty: int32 [32], the empty prompt's.
        fillers: token ids of each word that may come in between; none for captions as they are.
        ends: bool [vocabulary], whether a word may follow a token.
    """

    tokens: Tensor
    first: Tensor
    count: Tensor
    plain: Tensor
    empty: Tensor
    fillers: tuple[tuple[int, ...], ...]
    ends: Tensor

    @classmethod
    def of(
        cls, concepts: Sequence[Concept], styles: Sequence[str], tokenizer: Any, fillers: Sequence[str] = ()
    ) -> CaptionTable:
        """All captions of the concepts in the styles.

        Args:
            concepts: what is drawn.
            styles: who drew it.
            tokenizer: CLIP's kind.
            fillers: words that may come in between; those that a caption has are not used.
        """
        listed, plain = [], []
        for style in styles:
            endings = tuple(f", {said}" for said in STYLE_WORDS[style])
            for concept in concepts:
                captions = sorted(training_captions(concept, style), key=lambda text: text.endswith(endings))
                listed.append(captions)
                plain.append(sum(not text.endswith(endings) for text in captions))
        count = torch.tensor([len(captions) for captions in listed])
        tokens = token_ids(tokenizer, [caption for captions in listed for caption in captions]).int()
        shape = (len(styles), len(concepts))
        known = {word for captions in listed for caption in captions for word in caption_words(caption)}
        unknown = [word for word in fillers if known.isdisjoint(caption_words(word))]
        ends = torch.zeros(len(tokenizer), dtype=torch.bool)
        ends[[index for token, index in tokenizer.get_vocab().items() if token.endswith("</w>")]] = True
        ends[tokenizer.bos_token_id] = True
        return cls(
            tokens,
            (count.cumsum(0) - count).view(shape),
            count.view(shape),
            torch.tensor(plain).view(shape),
            token_ids(tokenizer, [""])[0].int(),
            tuple(tuple(tokenizer(word, add_special_tokens=False).input_ids) for word in unknown),
            ends,
        )

    def draw(self, style: Tensor, concept: Tensor, generator: torch.Generator, styled: Tensor | None = None) -> Tensor:
        """One caption's token ids for each style and concept, int64 [batch, 32].

        Args:
            style: indices [batch].
            concept: indices [batch].
            generator: of the choice.
            styled: bool [batch], whether the caption names its style; None leaves that open.
        """
        first, count, plain = (table[style, concept] for table in (self.first, self.count, self.plain))
        if styled is not None:
            first, count = torch.where(styled, first + plain, first), torch.where(styled, count - plain, plain)
        offset = (torch.rand(len(count), generator=generator) * count).long().clamp(max=count - 1)
        tokens = self.tokens[first + offset].long()
        if self.fillers:
            for row in torch.nonzero(torch.rand(len(tokens), generator=generator) < FILLED)[:, 0].tolist():
                tokens[row] = self._filled(tokens[row], generator)
        return tokens

    def _filled(self, tokens: Tensor, generator: torch.Generator) -> Tensor:
        """A caption's token ids [32] with some fillers between its words; those that do not fit are left out."""
        end = int(self.empty[1])  # of a text, which also pads
        words = tokens[: int((tokens == end).nonzero()[0, 0])].tolist()
        # The first comes always, the others with probability 2/3 each.
        wanted = torch.rand(MOST_FILLERS, generator=generator) < torch.tensor([1.0] + [2 / 3] * (MOST_FILLERS - 1))
        for chosen in torch.randint(len(self.fillers), (int(wanted.sum()),), generator=generator).tolist():
            filler, places = self.fillers[chosen], [index + 1 for index, token in enumerate(words) if self.ends[token]]
            place = places[int(torch.randint(len(places), (1,), generator=generator))]
            if len(words) + len(filler) < len(tokens):
                words[place:place] = filler
        filled = torch.full_like(tokens, end)
        filled[: len(words)] = torch.tensor(words)
        return filled


def caption_pool(captions: CaptionTable, each: int = CAPTIONS, seed: int = 0) -> Tensor:
    """Captions of every style and concept, int16 [styles, concepts, each, 32]; the second half names the style."""
    styles, concepts = captions.count.shape
    generator = torch.Generator().manual_seed(seed)
    style = torch.arange(styles).view(-1, 1, 1).expand(styles, concepts, each).reshape(-1)
    concept = torch.arange(concepts).view(1, -1, 1).expand(styles, concepts, each).reshape(-1)
    styled = (torch.arange(each) >= each // 2).expand(styles, concepts, each).reshape(-1)
    return captions.draw(style, concept, generator, styled).view(styles, concepts, each, -1).short()


@torch.no_grad()
def encode_versions(
    vae: Any, pictures: PictureTable, versions: int = VERSIONS, seed: int = 1, device: str = "cpu"
) -> Tensor:
    """Latents float16 [versions, pictures, 8, 16, 16], on the CPU, of differently augmented pictures.

    The first version is as drawn.

    Args:
        vae: the autoencoder; it is moved to `device` and back.
        pictures: to encode.
        versions: of each.
        seed: of the augmentations.
        device: to encode on, in bfloat16 where that is fast.
    """
    generator = torch.Generator().manual_seed(seed)
    parts, half = [], half_dtype(device)
    vae.to(device)
    for version in range(versions):
        for rows in torch.arange(len(pictures.masters)).split(64):
            moves, mirrored = pictures.moves(rows, generator)
            masters = pictures.masters[rows].to(device)
            plain = unmoved(masters) if version == 0 else augment(masters, moves.to(device), mirrored.to(device), MOVED)
            with torch.autocast(torch.device(device).type, half, enabled=half is not None):
                parts.append(encode(vae, plain.contiguous(memory_format=torch.channels_last)).half().cpu())
    vae.to("cpu")
    latents = torch.cat(parts)
    return latents.view(versions, len(pictures.masters), *latents.shape[1:]).contiguous()


def picture_rows(pictures: PictureTable, styles: int, concepts: int) -> Tensor:
    """Row of each (style, concept) in the table, int64 [styles, concepts]; -1 where there is none."""
    rows = torch.full((styles, concepts), -1)
    rows[pictures.style, pictures.concept] = torch.arange(len(pictures.concept))
    return rows
