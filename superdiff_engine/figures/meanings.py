"""What every curve of a run means: one sentence for those who meet it for the first time, and its formula.

A figure (`Figure.meaning`) says its own. Formulas are those of docs/architecture.md; the estimator's is Theorem 1
of arXiv 2412.17762 in canonical coordinates, where the process has no drift of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

from .quantities import Shown

__all__ = ["AGREEMENT", "CHECK", "LINEAGE", "MEANINGS", "WEIGHT_OF_SAMPLE", "Meaning"]


@dataclass(frozen=True)
class Meaning:
    """What something that is shown means.

    Attributes:
        sentence: in words that a student of the second year reads.
        formula: of it, in LaTeX.
    """

    sentence: str
    formula: str

    @property
    def markdown(self) -> str:
        """Both, as Markdown."""
        return f"{self.sentence}\n\n${self.formula}$"


MEANINGS: dict[Shown, Meaning] = {
    "value": Meaning(
        "How likely an expert finds the samples at each step's noise level, as a logarithm: one nat more is 2.7 times "
        "as likely. It is followed along the path from the expert's score alone.",
        r"\Delta \log q_i = \langle \Delta y, S_i \rangle - \tfrac{h}{2} \lVert S_i \rVert^2",
    ),
    "difference": Meaning(
        "How much likelier an expert finds the samples than the experts do on average: above 0 it finds them its own, "
        "and where all curves meet at 0 no expert can tell whose they are.",
        r"\log q_i - \tfrac{1}{M} \sum_j \log q_j",
    ),
    "weights": Meaning(
        "How much each expert has to say about the next step: samples move by the sum of all scores, each times its "
        "weight, and the weights of a sample sum to 1.",
        r"\Delta y = h \sum_i \kappa_i S_i + \text{noise}, \qquad \sum_i \kappa_i = 1",
    ),
    "effective": Meaning(
        "How many equally weighted samples the weighted particles of a group are worth; below the threshold the group "
        "is drawn anew, heavy particles several times and light ones not at all.",
        r"\frac{(\sum_k w_k)^2}{\sum_k w_k^2}",
    ),
}

AGREEMENT = Meaning(
    "Every dot is a sample: across, the log-density that the run has followed for it, and up, the true one; on the "
    "diagonal the estimate is exact, and only what is off in the difference of two experts moves their weights.",
    r"\lvert (\log \hat q_1 - \log \hat q_2) - (\log q_1 - \log q_2) \rvert",
)
CHECK = Meaning(
    "The log-densities of these very samples are estimated afresh: noise is added to each, other noise than the run "
    "has seen, and the way back to the noise says how likely it is.",
    r"\log q_i(y_0) = \log q_i(y_K) - \sum_k \Delta \log q_i",
)
LINEAGE = Meaning(
    "Which early particles the final samples come from: every resampling copies some particles and ends others, so "
    "that the fewer ancestors there are, the more alike the samples.",
    r"a_k = \mathrm{parent}_1(\cdots \mathrm{parent}_n(k))",
)
WEIGHT_OF_SAMPLE = Meaning(
    "How much a sample counts for beside the others of its group: it is worth more where the target has more of its "
    "kind than the run has made.",
    r"w_k \,/\, \textstyle\sum_j w_j",
)
