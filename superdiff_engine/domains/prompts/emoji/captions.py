"""Captions of emoji, and the tokenizer that reads them.

A training caption names a concept, and sometimes its style or two of its tags, by a short template. Captions for
testing use templates and word orders that training never sees. No caption names two concepts: "a cat that looks
like a dog" is the joint prompt that AND is compared with, so only its words are known to the tokenizer.

Some captions are drawn with words in between that say nothing of the picture, so that a word which no caption has, in
a held-out template, a joint prompt or a user's own, leaves a concept as it is.

The tokenizer is CLIP's: byte-level BPE in which "</w>" ends a word (Radford et al. 2021, arXiv 2103.00020, section
2.4), with a vocabulary of its own because a text encoder of 256 channels has no room for CLIP's 49,408 entries.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, cast

import torch

from ....system.file_cache import file_cached
from ....system.files import write_whole
from .concepts import Concept
from .sets import STYLES

#: Tokens of a caption, start and end included: the text encoder's max_position_embeddings.
MAX_TOKENS = 32
#: At most as many entries as BPE may learn.
VOCABULARY = 3500
START, END = "<|startoftext|>", "<|endoftext|>"
#: How captions say a style; the first wording is the style word shown to users.
STYLE_WORDS: dict[str, tuple[str, ...]] = {
    "noto": ("noto style", "noto"),
    "flat": ("flat style", "flat"),
    "3d": ("3d style", "3d"),
    "twemoji": ("twemoji style", "twemoji"),
}
_PLAIN = ("{a}", "{name}", "an emoji of {a}", "a picture of {a}", "{name} emoji", "a drawing of {a}")
_STYLED = ("{name}, {style}", "{a}, {style}", "a picture of {a}, {style}", "an emoji of {a}, {style}")
_TAGGED = ("{name}, {tag}", "{name}, {tag}, {other}", "{a}, {kind}")
_HELD_OUT = (
    "this is {a}",
    "here you find {a}",
    "look, {a}",
    "an icon that shows {a}",
    "one small {name}",
    "{kind}: {name}",
)
#: Words of joint prompts, which no caption holds but which must be more than single letters to the tokenizer.
_JOINT = (
    "a picture that looks like a cat and a dog",
    "a cat that looks like a dog",
    "an image of something that could be a cat or a dog at once",
    "this is one small icon, here we see both, look, it shows the same shape with the other in it",
)

_SAID_OF_NOTHING = """
    this is here we look that shows it same shape with other one small looks like both at once something could
    be or and the my your his her our their some any every very really quite so too also just only even still
    then now when where while who which what how why there these those was were are am been has have had do does
    did done make makes made get gets got take takes come comes go goes going went give gives show showing shown
    seen find found think want please put let us me you he she they him them i from into over under near next
    between behind about around for by to as but not no yes than more most much many few less least good nice
    lovely great beautiful pretty simple detailed quality best high simply cute image photo photograph painting
    sketch illustration icon sticker clipart logo design render view scene background single lonely two three
    old young new whole real called named known kind sort type thing example usual typical ordinary common
    modern digital standing lying placed printed painted drawn rendered made-up vivid bright clean clear sharp
    centered isolated
"""
#: Words that say nothing of an emoji's looks. Those that occur in a training caption do not count as such.
FILLERS = tuple(_SAID_OF_NOTHING.split())


def with_article(name: str) -> str:
    """The name with "a" or "an", or alone where it is a plural."""
    noun = re.split(r" (?:with|of|in|on|and) ", name)[0]
    if noun.endswith("s") and not noun.endswith(("ss", "us", "os")):
        return name
    return f"{'an' if re.match(r'[aeio](?!ne-)|um|hour|x-', name) else 'a'} {name}"


def training_captions(concept: Concept, style: str) -> list[str]:
    """All captions of a concept as drawn in one style; the same for the same arguments, without repetitions."""
    names = [name for index, name in enumerate(concept.names) if index == 0 or name != concept.name]
    captions = [template.format(a=with_article(name), name=name) for name in names for template in _PLAIN]
    for name in names:
        for template in _STYLED:
            captions += [template.format(a=with_article(name), name=name, style=said) for said in STYLE_WORDS[style]]
    tags = [tag for tag in concept.tags if tag not in concept.names][:6] or [concept.kind]
    for index, tag in enumerate(tags):
        words = {"tag": tag, "other": tags[(index + 1) % len(tags)], "kind": concept.kind}
        captions += [template.format(a=with_article(concept.name), name=concept.name, **words) for template in _TAGGED]
    return list(dict.fromkeys(captions))


def held_out_captions(concept: Concept) -> list[str]:
    """Captions by templates and word orders that training never sees, for testing."""
    a = with_article(concept.name)
    return [template.format(a=a, name=concept.name, kind=concept.kind) for template in _HELD_OUT]


def draw_caption(concept: Concept, style: str, generator: torch.Generator) -> str:
    """One training caption at random."""
    captions = training_captions(concept, style)
    return captions[int(torch.randint(len(captions), (1,), generator=generator))]


def caption_words(text: str) -> list[str]:
    """The words of a text, lower-case, as the tokenizer splits them."""
    return re.findall(r"[^\W\d_]+|\d", text.lower())


def known_words(concepts: Iterable[Concept]) -> tuple[str, ...]:
    """The words of all training captions in alphabetical order: what the model can have learned the meaning of."""
    words: set[str] = set()
    for concept in concepts:
        for style in STYLES:
            for caption in training_captions(concept, style):
                words.update(caption_words(caption))
    return tuple(sorted(words))


def unknown_words(text: str, known: Iterable[str]) -> list[str]:
    """The words of a prompt that no training caption has, in their order, each once."""
    vocabulary = frozenset(known)
    return list(dict.fromkeys(word for word in caption_words(text) if word not in vocabulary))


def save_tokenizer(texts: Sequence[str], folder: Path) -> None:
    """Learn a byte-level BPE from texts and write it as CLIPTokenizer's files.

    Args:
        texts: what to learn from; the words of joint prompts are added to them.
        folder: gets vocab.json, merges.txt and the settings that both old and new transformers read.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import CLIPTokenizer

    # CLIPTokenizer's own normalizer and splitting, so that what is learned is what is read later.
    template: Any = CLIPTokenizer()
    learner = Tokenizer(models.BPE(continuing_subword_prefix="", end_of_word_suffix="</w>", unk_token=END))
    learner.normalizer = template.backend_tokenizer.normalizer
    learner.pre_tokenizer = template.backend_tokenizer.pre_tokenizer
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        min_frequency=2,
        show_progress=False,
        special_tokens=[START, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        end_of_word_suffix="</w>",
    )
    learner.train_from_iterator([*texts, *_JOINT * 50], trainer)
    vocabulary, merges = _clip_tables(json.loads(learner.to_str())["model"])
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=cast(Any, merges), model_max_length=MAX_TOKENS)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(folder)
    # transformers 4 reads these two, transformers 5 the tokenizer.json that it has just written.
    write_whole(folder / "vocab.json", json.dumps(vocabulary, ensure_ascii=False).encode())
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges), ""]
    write_whole(folder / "merges.txt", "\n".join(lines).encode())


def _clip_tables(model: dict[str, Any]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Vocabulary and merges as CLIP orders them: bytes, bytes that end a word, merges, then the two special tokens."""
    merges = [tuple(pair.split(" ")) if isinstance(pair, str) else tuple(pair) for pair in model["merges"]]
    letters = [token for token in model["vocab"] if len(token) == 1]
    # Every byte may end a word, also those that never did in training.
    tokens = [*letters, *(letter + "</w>" for letter in letters), *(first + second for first, second in merges)]
    ordered = dict.fromkeys([*tokens, START, END])
    return {token: index for index, token in enumerate(ordered)}, [(pair[0], pair[1]) for pair in merges]


@file_cached(4)
def load_tokenizer(folder: Path) -> Any:
    """The CLIPTokenizer of a folder that `save_tokenizer` wrote."""
    from transformers import CLIPTokenizer

    return CLIPTokenizer.from_pretrained(folder)


def token_ids(tokenizer: Any, texts: Sequence[str]) -> torch.Tensor:
    """Padded token ids int64 [texts, 32], as StableDiffusionPipeline makes them."""
    return tokenizer(
        list(texts), padding="max_length", max_length=MAX_TOKENS, truncation=True, return_tensors="pt"
    ).input_ids
