"""Prompts as MolT5 reads them (Edwards et al. 2022, arXiv 2204.11817): its encoder's states, token by token.

The official code pads every text to one length and masks the padding; here there is none, which is the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...errors import ModelError
from ..weights import UNREADABLE, first_line, read_network

__all__ = ["ENCODER", "MOST_TOKENS", "NULL_PROMPT", "TOKENIZER", "read_texts"]

#: What stands for "no text" in the authors' scripts that draw molecules, spelled as there; in training it was
#: "no description.".
NULL_PROMPT = "no dsecription."
#: Tokens of a text that are read, its end included, as in the official text-to-molecule script.
MOST_TOKENS = 256
ENCODER, TOKENIZER = "text_encoder", "tokenizer"


def read_texts(folder: Path, texts: Sequence[str], device: str = "cpu") -> list[tuple[Tensor, bool]]:
    """What the text encoder says of each text; the encoder is loaded for this and let go afterwards.

    Args:
        folder: of a converted model, with `text_encoder` and `tokenizer`.
        texts: to be read, none of which is empty.
        device: to read on.

    Returns:
        of each text (its states, float32 [L, width] on the CPU; whether it was cut to MOST_TOKENS).

    Raises:
        ModelError: in one sentence, when encoder or tokenizer are missing, damaged or do not fit each other.
    """
    tokenizer = _read_tokenizer(folder)
    encoder, _ = read_network(folder / ENCODER, "T5EncoderModel", torch.float32, f"text encoder of {folder.name}")
    if len(tokenizer) > encoder.config.vocab_size:
        raise ModelError(
            f"The tokenizer of {folder.name} has {len(tokenizer):,} tokens and its text encoder knows "
            f"{encoder.config.vocab_size:,}; convert it again with both from the same folder."
        )
    encoder, found = encoder.to(device), []
    with torch.no_grad():
        for text in texts:
            ids = tokenizer(text, truncation=True, max_length=MOST_TOKENS, return_tensors="pt").input_ids
            whole = tokenizer(text, truncation=False, verbose=False).input_ids
            states = encoder(input_ids=ids.to(device)).last_hidden_state[0]
            found.append((states.float().cpu(), len(whole) > ids.shape[1]))
    return found


def _read_tokenizer(folder: Path) -> Any:
    from transformers import T5TokenizerFast  # type: ignore[attr-defined]

    if not (folder / TOKENIZER / "tokenizer.json").is_file():
        raise ModelError(f"The tokenizer of {folder.name} lacks tokenizer.json; convert the model again.")
    try:
        return T5TokenizerFast.from_pretrained(folder / TOKENIZER, local_files_only=True)
    except UNREADABLE as error:
        raise ModelError(f"The tokenizer of {folder.name} cannot be read: {first_line(error)}") from None
