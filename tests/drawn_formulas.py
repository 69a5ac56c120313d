"""Formulas and log-densities to try: of three experts, by hand and at random."""

import torch

from superdiff_engine.formula import Both, ButNot, Either, ExpertTerm, WeightedSum, Xor

ONE, TWO, THREE = (ExpertTerm(index) for index in range(3))
SHARP = Either((ONE, TWO), 2.0, (0.5, 0.0))
NESTED = Both((Either((ONE, ButNot(TWO, THREE, 0.7)), 2.0, (0.3, -0.1)), Xor(TWO, THREE), SHARP), 3.0)


def drawn(count=5, seed=0):
    return torch.randn(3, count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def random_formula(rng, depth):
    """Of three experts, all nodes of total weight 1, so that any of them fits anywhere."""
    if depth == 0 or rng.random() < 0.2:
        return ExpertTerm(rng.randrange(3))

    def part():
        return random_formula(rng, depth - 1)

    number = rng.choice([0.25, 0.5, 1.0, 1.5, 3.0])
    share = rng.choice([-0.5, 0.25, 1.5])
    kind = rng.randrange(5)
    if kind == 0:
        return Either(tuple(part() for _ in range(rng.randint(2, 3))), number)
    if kind == 1:
        return Both(tuple(part() for _ in range(rng.randint(2, 3))), number)
    if kind == 2:
        return ButNot(part(), part(), number)
    if kind == 3:
        return Xor(part(), part(), number)
    return WeightedSum((part(), part()), (share, 1 - share))
