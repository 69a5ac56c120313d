"""The classifier measured: designs left out of its training, its temperature, its accuracy on unseen designs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from ..emoji.concepts import PAIRS
from ..emoji.rendering import EmojiPictures
from ..emoji.training_data import PictureTable
from .classifier import BATCH, ConceptClassifier, log_probabilities, top_share
from .distortion import distort, distortion
from .material import floats, reduced

#: The one that shares its artists with two of the generator's styles, and the styles that share nothing.
RELATED, STRICT_STYLES = "color", ("noto", "twemoji")
#: One old concept in so many has a design left out of the training, for the temperature.
LEFT_OUT = 5


def calibration_rows(table: PictureTable, styles: Sequence[str]) -> Tensor:
    """Rows kept from the training: of every fifth concept with three designs or more of old sets, one; int64."""
    old = torch.tensor([style != RELATED for style in styles])[table.style]
    chosen, seen = [], 0
    for concept in table.concept.unique().tolist():
        rows = torch.nonzero((table.concept == concept) & old)[:, 0].tolist()
        if len(rows) >= 3:
            if seen % LEFT_OUT == 0:
                chosen.append(rows[seen // LEFT_OUT % len(rows)])
            seen += 1
    return torch.tensor(chosen, dtype=torch.int64)


def fit_temperature(logits: Tensor, asked: Tensor) -> float:
    """The tau in 0.2 to 5 for which log_softmax(logits / tau), [count, concepts], gives `asked` [count] the most.

    The mean log-probability is concave in 1 / tau, so a search that narrows by thirds finds it.
    """
    low, high = 0.2, 5.0
    logits = logits.double()

    def loss(inverse: float) -> float:
        return float(functional.cross_entropy(logits * inverse, asked))

    while high - low > 1e-4 * low:
        first, second = low + (high - low) / 3, high - (high - low) / 3
        low, high = (low, second) if loss(first) < loss(second) else (first, high)
    return 2 / (low + high)


@torch.no_grad()
def calibrate(
    network: ConceptClassifier, pictures: Tensor, table: PictureTable, rows: Tensor, versions: int = 4
) -> float:
    """Set the temperature on `versions` distortions of pictures left out of the training; returns it.

    Args:
        network: to calibrate.
        pictures: uint8 [pictures, 3, 64, 64], those of the table as the network looks at them.
        table: what they show.
        rows: int64, of the pictures left out.
        versions: distortions of each.
    """
    generator = torch.Generator().manual_seed(10**6)
    parts = []
    for part in rows.repeat(versions).split(BATCH):
        none = torch.zeros(len(part), dtype=torch.bool)
        parts.append(network(distort(floats(pictures[part]), distortion(none, generator))))
    fitted = fit_temperature(torch.cat(parts), table.concept[rows].repeat(versions))
    network.temperature.fill_(fitted)
    return fitted


def accuracy(scores: Tensor, asked: Tensor) -> dict[str, float]:
    """Shares, 0 to 1, of pictures whose concept [count] has the highest score ("top1") or one of the highest five.

    Args:
        scores: [count, concepts].
        asked: int64 [count].

    Returns:
        "top1", "top5", and the number of "pictures".
    """
    shares = {most: float(top_share(scores, asked, most).double().mean()) for most in (1, 5)}
    return {f"top{most}": round(share, 4) for most, share in shares.items()} | {"pictures": len(asked)}


def scores_of(network: ConceptClassifier, table: PictureTable) -> Tensor:
    """Log-probabilities [pictures, concepts] of a table as it is drawn."""
    return log_probabilities(network, floats(reduced(table)))


def held_out_accuracy(
    network: ConceptClassifier, unseen: EmojiPictures, young: set[str]
) -> dict[str, dict[str, float]]:
    """Accuracy on the generator's designs, none of which the scorer has seen.

    Args:
        network: to measure.
        unseen: the generator's pictures.
        young: ids of the concepts that only the related set draws.

    Returns:
        "overall", by style, "strict" (styles of other artists), and there "young" and "pairs" (the concepts of PAIRS).
    """
    table = PictureTable.of(unseen)
    names = {name for pair in PAIRS for name in pair}
    is_young = torch.tensor([one.id in young for one in unseen.concepts])[table.concept]
    is_paired = torch.tensor([one.name in names for one in unseen.concepts])[table.concept]
    strict = torch.tensor([style in STRICT_STYLES for style in unseen.styles])[table.style]
    groups = {"overall": torch.ones_like(strict)}
    groups |= {style: table.style == index for index, style in enumerate(unseen.styles)}
    groups |= {"strict": strict, "young": strict & is_young, "pairs": strict & is_paired}
    scores = scores_of(network, table)
    return {name: accuracy(scores[mask], table.concept[mask]) for name, mask in groups.items() if bool(mask.any())}
