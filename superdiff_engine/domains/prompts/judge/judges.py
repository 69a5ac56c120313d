"""Who says what a picture shows: the embedded concept scorer, or a CLIP model from a folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ....errors import ModelError
from ...sources import read_json
from ..emoji.captions import with_article
from ..emoji.concepts import Concept
from .classifier import KnownConcepts, log_probabilities


class Judge(Protocol):
    """Scores of pictures for concepts.

    Attributes:
        concepts: in the order of the scores.
        key: of all that decides its scores.
        notes: a sentence or two for the table.
    """

    concepts: tuple[Concept, ...]
    key: str
    notes: str

    def scores(self, pictures: np.ndarray) -> Tensor:
        """[count, concepts], float64, of pictures uint8 [count, H, W, 3]; higher is better."""
        ...


class ClassifierJudge:
    """The concept scorer: log-probabilities in nats."""

    def __init__(self, scorer: KnownConcepts) -> None:
        self.network, self.concepts, self.key = scorer.network, scorer.concepts, scorer.digest[:16]
        shares = "; ".join(
            f"{title} {scorer.held_out[group]['top1']:.1%} / {scorer.held_out[group]['top5']:.1%}"
            for group, title in {"overall": "all", "strict": "by other artists (noto, twemoji)"}.items()
            if group in scorer.held_out
        )
        self.notes = (
            f"Scores are log-probabilities in nats among {len(self.concepts)} concepts, by this project's own concept "
            "scorer (not CLIP; the paper's figures are 100 times CLIP's cosines). It learned from designs that the "
            "generator never saw; its top-1 / top-5 accuracy on the generator's designs, which it never saw: "
            f"{shares}."
        )

    def scores(self, pictures: np.ndarray) -> Tensor:
        return log_probabilities(self.network, pictures)


class ClipJudge:
    """A CLIP model (Radford et al. 2021, arXiv 2103.00020) from a folder: 100 times the cosine, as in the paper.

    Args:
        folder: with config.json, model.safetensors, and the files of tokenizer and image processor.
        concepts: whose texts are "a cat", as the prompts are.

    Raises:
        ModelError: when the folder holds no CLIP model that transformers can load.
    """

    def __init__(self, folder: Path, concepts: Sequence[Concept]) -> None:
        from transformers import CLIPModel, CLIPProcessor

        found = read_json(folder / "config.json").get("model_type")
        if found != "clip":
            raise ModelError(f"{folder} holds a model of type '{found}', not CLIP; name the folder of a CLIP model.")
        try:
            model: Any = CLIPModel.from_pretrained(folder, local_files_only=True, use_safetensors=True)
            self.processor: Any = CLIPProcessor.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError, ImportError) as error:
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ModelError(f"transformers cannot load the CLIP model in {folder}: {first}") from None
        self.model, self.concepts = model.float().eval(), tuple(concepts)
        weights = sorted(folder.glob("*.safetensors"))
        digest = hashlib.sha256(b"".join(hashlib.sha256(path.read_bytes()).digest() for path in weights))
        digest.update(json.dumps([one.name for one in concepts]).encode())
        self.key = f"clip_{digest.hexdigest()[:16]}"
        self.notes = (
            f"Scores are 100 times the cosine of picture and text by the CLIP model {folder.name}, as the paper's are; "
            f'top-1 and top-5 are among the texts ("a cat") of {len(self.concepts)} concepts.'
        )
        self.texts = self._embed(None, [with_article(one.name) for one in concepts])

    @torch.no_grad()
    def _embed(self, pictures: np.ndarray | None, texts: Sequence[str]) -> Tensor:
        """Normalised embeddings of pictures, or of texts where there are none; float64."""
        blank = [Image.new("RGB", (64, 64), "white")]
        shown = blank if pictures is None else [Image.fromarray(picture) for picture in pictures]
        # CLIP's forward pass wants both; which of them it is asked for decides what is kept.
        inputs = self.processor(text=list(texts), images=shown, padding=True, truncation=True, return_tensors="pt")
        output = self.model(**inputs)
        return (output.text_embeds if pictures is None else output.image_embeds).double()

    def scores(self, pictures: np.ndarray) -> Tensor:
        images = [self._embed(pictures[start : start + 32], ["a"]) for start in range(0, len(pictures), 32)]
        return 100 * torch.cat(images) @ self.texts.T
