r"""How good and how varied generated garments are, by the embedded classifier.

    Fashion-FID   |m - m_r|^2 + tr(C + C_r - 2 (C C_r)^(1/2))     Fréchet distance of features (arXiv 1706.08500)
    Fashion-IS    exp(E KL(p(class | x) || p(class)))              Inception score's analogue, at most 10
                                                                   (arXiv 1606.03498)
    class share   the part of the samples whose most probable class is one of 0 to 4

Features are the classifier's last hidden layer; m_r and C_r are those of the 10,000 test pictures. Neither figure
can be compared with FID or IS on photographs. Like FID, Fashion-FID falls with the number of samples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .classifier import GarmentClassifier, Reference, classify

#: Bootstrap resamples behind each standard error.
RESAMPLES = 100


def frechet_distance(mean: Tensor, covariance: Tensor, other_mean: Tensor, other_covariance: Tensor) -> float:
    """The squared Fréchet (2-Wasserstein) distance of two Gaussians [d], [d, d]; float64.

    tr (C C_r)^(1/2) is the sum of the roots of the eigenvalues of C_r^(1/2) C C_r^(1/2), which is symmetric.
    """
    root = _square_root(other_covariance)
    cross = torch.linalg.eigvalsh(root @ covariance @ root).clamp_min(0).sqrt().sum()
    distance = (mean - other_mean).square().sum() + covariance.trace() + other_covariance.trace() - 2 * cross
    return float(distance.clamp_min(0))


def fashion_fid(features: Tensor, reference: Reference) -> float:
    """Fréchet distance of features [count, 128], float64, from the reference."""
    return frechet_distance(features.mean(0), torch.cov(features.T), reference.mean, reference.covariance)


def fashion_is(probabilities: Tensor) -> float:
    """The exponential of the mean divergence of class probabilities [count, 10] from their own mean, without splits."""
    marginal = probabilities.mean(0)
    divergence = torch.xlogy(probabilities, probabilities).sum(1) - torch.xlogy(probabilities, marginal).sum(1)
    return float(divergence.mean().exp())


def class_share(probabilities: Tensor, classes: tuple[int, ...] = (0, 1, 2, 3, 4)) -> float:
    """The share of samples, 0 to 1, that are classified into one of `classes`; probabilities [count, 10]."""
    return float(torch.isin(probabilities.argmax(1), torch.tensor(classes)).double().mean())


def _square_root(covariance: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(covariance)
    return (vectors * values.clamp_min(0).sqrt()) @ vectors.T


@dataclass(frozen=True)
class Measurement:
    """A figure and its bootstrap standard error."""

    value: float
    error: float


def measure(
    pictures: Tensor, network: GarmentClassifier, reference: Reference, seed: int = 0
) -> dict[str, Measurement]:
    """Fashion-FID, Fashion-IS and the share of classes 0 to 4 of pictures [count, 1, 28, 28] in [-1, 1]."""
    features, probabilities = classify(network, pictures)

    def fid(chosen: Tensor) -> float:
        return fashion_fid(features[chosen], reference)

    def score(chosen: Tensor) -> float:
        return fashion_is(probabilities[chosen])

    def share(chosen: Tensor) -> float:
        return class_share(probabilities[chosen])

    figures = {"fashion_fid": fid, "fashion_is": score, "class_share": share}
    return {name: bootstrap(figure, len(pictures), seed) for name, figure in figures.items()}


def bootstrap(figure: Callable[[Tensor], float], count: int, seed: int = 0, resamples: int = RESAMPLES) -> Measurement:
    """`figure` of all `count` samples, and its standard deviation over resamples drawn with replacement.

    Args:
        figure: maps indices [count], int64, to a number.
        count: of samples.
        seed: of the resampling.
        resamples: how many.
    """
    generator = torch.Generator().manual_seed(seed)
    values = [figure(torch.randint(count, (count,), generator=generator)) for _ in range(resamples)]
    return Measurement(figure(torch.arange(count)), float(torch.tensor(values, dtype=torch.float64).std()))
