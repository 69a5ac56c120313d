r"""Formulas as the guide teaches them: what each means, its mathematics, and the recipe whose samples are its picture.

Most are of the same two experts, a bar that lies and one that stands, so that pages can be compared; `formula_samples`
keeps what the recipes made.
"""

from __future__ import annotations

from ...domain import FormulaPage
from ...recipes.document import CorrectionRecipe, Expert, Levels, Recipe
from ...recipes.operators import AndRecipe, AnyOperator, AverageRecipe, FormulaRecipe, OrRecipe

#: Of every formula's page.
STEPS, BATCH, SEED = 200, 4096, 1
_BARS = ["bar_lying", "bar_standing"]


def _recipe(models: list[str], operator: AnyOperator | str, corrected: bool = True) -> Recipe:
    return Recipe(
        domain="plane",
        experts=[Expert(model=model) for model in models],
        operator=FormulaRecipe(text=operator) if isinstance(operator, str) else operator,
        levels=Levels(steps=STEPS),
        batch=BATCH,
        seed=SEED,
        correction=CorrectionRecipe() if corrected else None,
    )


def _lines(*lines: str) -> str:
    """LaTeX on several lines, so that narrow screens have room for it."""
    return r"\begin{aligned}" + r" \\[6pt] ".join(lines) + r"\end{aligned}"


_MIX = r"\bar S &= \textstyle\sum_i \kappa_i S_i"
_SPREAD = r"\textstyle\sum_i \kappa_i |S_i|^2 - |\bar S|^2"
_CHAIN_RULE = _lines(
    r"\mathrm{d} \log w &= \tfrac{h}{2} \big( |\bar S|^2 - \textstyle\sum_i \kappa_i |S_i|^2",
    r"&\quad + \textstyle\sum_{ij} f_{ij} \langle S_i, S_j \rangle \big)",
    _MIX,
)

FORMULA_PAGES: tuple[FormulaPage, ...] = (
    FormulaPage(
        key="or",
        title="OR: the mixture",
        line="samples of either expert",
        meaning="“A or B” is the mixture: half of the samples are such as A would make, half such as B would. The more "
        "likely an expert finds a sample, compared with the other expert, the more of the step is its own. So every "
        "sample drifts to one of them as the noise falls, and where both are likely they share it.",
        look="The samples fill both bars, and lie no denser at the crossing than the mixture does. OR at T = 1 needs "
        "no correction: the weights of all particles stay equal, and both pictures are the same.",
        target=r"p \;\propto\; q_1 + q_2",
        weights=r"\kappa_i = \frac{q_i}{q_1 + q_2} = \mathrm{softmax}(\log q)_i",
        correction=r"\mathrm{d} \log w = 0",
        recipe=_recipe(_BARS, OrRecipe()),
    ),
    FormulaPage(
        key="or-sharp",
        title="OR, sharper: T = 2",
        line="samples of either expert, with a clearer choice",
        meaning="The temperature T says how sharply OR decides. At T = 2 the densities are squared, added, and the "
        "root is taken: where only one expert is likely nothing changes, and where both are, they count less than "
        "twice. As T grows this becomes the larger of the two densities.",
        look="The crossing is a little emptier than in the mixture: there p is √2 q instead of 2 q. The correction is "
        "small, since the two experts share little of the plane.",
        target=r"p \;\propto\; \left(q_1^T + q_2^T\right)^{1/T}",
        weights=r"\kappa = \mathrm{softmax}(T \log q)",
        correction=_lines(r"\mathrm{d} \log w &= \tfrac{h}{2}\,(T - 1) \big(" + _SPREAD + r"\big)", _MIX),
        recipe=_recipe(_BARS, OrRecipe(temperature=2.0)),
    ),
    FormulaPage(
        key="and",
        title="Soft AND: sharpness 1",
        line="samples that both experts find likely",
        meaning="“A and B” has a high density only where both experts do: the expert that finds a sample *less* likely "
        "gets more of the say, and pulls it back to where it would be likely too. At the sharpness 1 the density is "
        "the harmonic mean of the two.",
        look="All samples lie at the crossing of the bars. Without the correction too many stay on the way to it; with "
        "it, they follow the target's lines.",
        target=r"p \;\propto\; \left(q_1^{-T} + q_2^{-T}\right)^{-1/T}, \quad T = 1",
        weights=r"\kappa = \mathrm{softmax}(-T \log q)",
        correction=_lines(r"\mathrm{d} \log w &= -\tfrac{h}{2}\,(T + 1) \big(" + _SPREAD + r"\big)", _MIX),
        recipe=_recipe(_BARS, "1 and 2"),
    ),
    FormulaPage(
        key="and-sharp",
        title="Soft AND: sharpness 4",
        line="samples that even the stricter expert finds likely",
        meaning="With a larger sharpness the less likely expert decides nearly alone, and the density comes close to "
        "the smaller of the two, min(q₁, q₂). A sample is as good as its worst expert says.",
        look="The lines of the target grow corners: along the diagonals both experts are equally likely, and the "
        "smaller density changes from one to the other.",
        target=r"p \;\propto\; \left(q_1^{-T} + q_2^{-T}\right)^{-1/T}, \quad T = 4",
        weights=r"\kappa = \mathrm{softmax}(-T \log q)",
        correction=_lines(r"\mathrm{d} \log w &= -\tfrac{h}{2}\,(T + 1) \big(" + _SPREAD + r"\big)", _MIX),
        recipe=_recipe(_BARS, "1 and[4] 2"),
    ),
    FormulaPage(
        key="and-equal",
        title="AND of the paper: equal log-densities",
        line="samples that all experts find equally likely",
        meaning="The paper's AND is a control, not a density: at every step it solves for the weights that keep the "
        "experts' log-densities equal, whatever they are. That says where samples end, on the set where log q₁ = log "
        "q₂, and not how they are spread over it. So there is no exact target, and nothing to correct to.",
        look="A cloud at the crossing, where the two differ by a nat or two at most, and four tails along the lines on "
        "which they agree, out to where both find a sample equally *un*likely. Soft AND, on the right, has a density: "
        "it thins out from the crossing in all directions.",
        target=r"\log q_1 = \log q_2",
        weights=_lines(
            r"\log q_1 + p_1(\kappa) &= \log q_2 + p_2(\kappa)",
            r"\textstyle\sum_i \kappa_i &= 1, \quad p_i: \text{ the coming step's change}",
        ),
        correction="",
        recipe=_recipe(_BARS, AndRecipe(), corrected=False),
        beside="and-sharp",
    ),
    FormulaPage(
        key="product",
        title="Product",
        line="samples that both experts would vote for",
        meaning="Multiply the densities: a sample must be likely twice over, as if two independent witnesses had to "
        "agree. The weights are 1 and 1, so they sum to 2, and the target is sharper than either expert: two equal "
        "experts give q², not q.",
        look="The cloud at the crossing is smaller than soft AND's, and without the correction a little too small."
        " As the sum of the weights is A = 2, the run starts from noise of half the variance, and the "
        "particles' weights make up for what is left.",
        target=r"p \;\propto\; q_1\, q_2",
        weights=r"\kappa_1 = \kappa_2 = 1",
        correction=r"\mathrm{d} \log w = h\, \langle S_1, S_2 \rangle",
        recipe=_recipe(_BARS, "1 + 2"),
    ),
    FormulaPage(
        key="mean",
        title="Geometric mean: the average",
        line="samples halfway between the experts, on the scale of logarithms",
        meaning="Averaging the scores, which is the usual way to mix two models or two prompts, is averaging the "
        "*log*-densities: the root of the product. An expert that finds a sample impossible can be outvoted in part, "
        "so the average is softer than AND.",
        look="The arms of the cross are not empty: half a logarithm is a weak veto. Averaging alone puts even more "
        "samples there than its own formula says, and the correction takes them away.",
        target=r"p \;\propto\; \sqrt{q_1\, q_2}",
        weights=r"\kappa_1 = \kappa_2 = \tfrac12",
        correction=r"\mathrm{d} \log w = -\tfrac{h}{8}\, |S_1 - S_2|^2",
        recipe=_recipe(_BARS, AverageRecipe()),
    ),
    FormulaPage(
        key="not",
        title="A but not B",
        line="samples of A that B finds unlikely",
        meaning="Take A's density and multiply it by how much likelier A finds a sample than B does. The weight of B "
        "is negative: its score is followed backwards. The strength g says how much that counts; guidance away from a "
        "negative prompt does the same step by step, without the correction.",
        look="The lying bar is left without its middle, which the standing bar claims too. Without the correction "
        "a few samples stay behind in the middle, and the others lie too far out: they are pushed, and not "
        "weighed.",
        target=r"p \;\propto\; q_1 \left(\frac{q_1}{q_2}\right)^{g}, \quad g = 1",
        weights=r"\kappa_1 = 1 + g, \quad \kappa_2 = -g",
        correction=r"\mathrm{d} \log w = \tfrac{h}{2}\, g\,(1 + g)\, |S_1 - S_2|^2",
        recipe=_recipe(_BARS, "1 but not 2"),
    ),
    FormulaPage(
        key="xor",
        title="XOR: one or the other, not both",
        line="samples of exactly one expert",
        meaning="“A but not B, or B but not A”: an OR of two NOTs. Each particle follows the alternative that is "
        "likelier for it, and both push it away from where the experts agree.",
        look="All four arms of the cross, without the crossing, where some samples stay behind if they are not "
        "weighed. The formula is nested, so its weights follow by the chain rule, and its correction from all"
        " four second derivatives.",
        target=r"p \;\propto\; \frac{q_1^2}{q_2} + \frac{q_2^2}{q_1}",
        weights=_lines(
            r"\kappa &= \rho\,(2, -1) + (1 - \rho)\,(-1, 2)", r"\rho &= \frac{q_1^2 / q_2}{q_1^2 / q_2 + q_2^2 / q_1}"
        ),
        correction=_CHAIN_RULE,
        recipe=_recipe(_BARS, "1 xor 2"),
    ),
    FormulaPage(
        key="nested",
        title="(A or B) and C",
        line="samples that C and at least one of the others find likely",
        meaning="Formulas nest to any depth, as logic does: what is in brackets has a density of its own, and the word "
        "outside takes it for an expert's. The weights come out of the chain rule: C's share is what AND gives it, and "
        "the rest is parted between A and B as OR would.",
        look="Where the ring C meets the cross of A and B: four spots. In the middle of the cross the ring is "
        "unlikely, and on the ring between the arms both bars are.",
        target=r"p \;\propto\; \left(\frac{1}{q_1 + q_2} + \frac{1}{q_3}\right)^{-1}",
        weights=_lines(
            r"\kappa_{1,2} &= \rho\, \frac{q_{1,2}}{q_1 + q_2}, \quad \kappa_3 = 1 - \rho",
            r"\rho &= \frac{q_3}{q_1 + q_2 + q_3}",
        ),
        correction=_CHAIN_RULE,
        recipe=_recipe([*_BARS, "hoop"], "(1 or 2) and 3"),
    ),
    FormulaPage(
        key="power",
        title="Annealing: the power 2",
        line="one expert's likeliest samples",
        meaning="A power above 1 cools a density: what is likely becomes likelier, and the rest fades. Multiplying "
        "the score by β alone does *not* sample it: the particles are drawn into the modes too tightly. The "
        "correction gives back what was too much.",
        look="The three modes have 1, 2 and 4 parts of the expert's mass; squared, they must have 1, 4 and 16. The"
        " score alone comes near these shares here, but its modes are a quarter too narrow, in variance; the "
        "corrected ones are as wide as the target's lines say.",
        target=r"p \;\propto\; q^{\beta}, \quad \beta = 2",
        weights=r"\kappa = \beta",
        correction=r"\mathrm{d} \log w = \tfrac{h}{2}\, \beta\,(\beta - 1)\, |S|^2",
        recipe=_recipe(["uneven"], "1^2"),
    ),
    FormulaPage(
        key="root",
        title="Annealing: the power ½",
        line="one expert's samples, with the rare ones more often",
        meaning="A power below 1 heats a density: modes widen, and rare ones become more common. The weights sum to ½, "
        "so the run starts from noise of twice the variance.",
        look="Masses of 1, 2 and 4 become 1, 1.4 and 2, and the modes run into each other. The score alone, "
        "halved, lets go of the samples too early: their spread around each mode is three times too large, in"
        " variance.",
        target=r"p \;\propto\; q^{\beta}, \quad \beta = \tfrac12",
        weights=r"\kappa = \beta",
        correction=r"\mathrm{d} \log w = -\tfrac{h}{2}\, \beta\,(1 - \beta)\, |S|^2",
        recipe=_recipe(["uneven"], "1^0.5"),
    ),
)
