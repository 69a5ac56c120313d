"""The guide: what the studio's words mean, for people who teach or learn them, and the models with their cards."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from superdiff_engine.domains import domains
from superdiff_engine.recipes.operators import OPERATORS
from superdiff_engine.recipes.parameters import PerExpert
from superdiff_engine.system.assets import assets_folder

from .formula_pages import formula_pages, page_of
from .guard import guarded, plain
from .views import view_of
from .words import SOURCES

WORDS: list[tuple[str, str]] = [
    (
        "Expert",
        "A trained diffusion model. Shown a noisy sample, it says which way to go to make the sample more like its "
        "training data. That direction is its **score**; where the way leads in the end, its best guess of the clean "
        "sample, is what its **denoiser** returns. The two hold the same information.",
    ),
    (
        "Noise level s",
        "How much noise a sample still carries, in the unit of the data: the sample is *data + s × noise*. A run "
        "begins at a high level, where nothing but noise is to be seen, and walks down to a low one. Every kind of "
        "diffusion model can be put on this one scale, so models that were trained differently can be composed.",
    ),
    (
        "Log-density log q",
        "How likely an expert finds a sample at the level of now, as a logarithm, in **nats**. Only differences say "
        "something: 1 nat more means 2.7 times as likely, 2.3 nats ten times, and 10 nats is beyond doubt. The "
        "studio follows it for every expert and sample along the way, at no extra cost, with the *Itô density "
        "estimator*. Two values can be compared only at the same level: a finished run's stand at its last one, "
        "samples from a file are judged at the level that is named beside them, and *Check these log-densities*, among "
        "a run's curves, estimates its samples afresh at their own level, along other noise, and says how far the two "
        "are apart. Networks are no exact scores: while sampling, the expert that leads gains by what is wrong with "
        "both, so of two differences the fresh one is nearer.",
    ),
    (
        "Weights κ",
        "How much each expert has to say about a sample's next step. They sum to 1 for every sample. Under AND they "
        "may leave the range from 0 to 1 for a moment: steering away from an expert is allowed.",
    ),
    (
        "Temperature T",
        "How sharply OR decides. At T = 1 the samples are those of the experts' mixture. At T = 0 the log-densities "
        "are ignored. At large T the likeliest expert takes a sample over as soon as it is ahead.",
    ),
    (
        "Bias ℓ",
        "A head start, in nats. For OR it sets the odds: with a bias of 1.1 (the logarithm of 3) an expert gets "
        "three times as many samples as one with 0. For AND it is an offset: an expert with a bias of 2 is held 2 "
        "nats more likely.",
    ),
    (
        "Ridge",
        "AND solves for the weights that keep the log-densities level. Where the experts agree, any weights would "
        "do, and the exact solution explodes. The ridge keeps the weights calm there; 1 nat is a good value, 0 is "
        "the paper's system, with which a run stops where its weights explode.",
    ),
    (
        "AND holds down to a level",
        "Below this noise level the weights are even, as average's are, and the log-densities go their own ways. Of "
        "the emoji, what a picture shows is decided above s = 1.5; keeping the log-densities level below that gives "
        "the details to one of the prompts. 0 is the paper's AND, which holds to the end.",
    ),
    (
        "Solver and estimator",
        "The solver takes the steps: an SDE with fresh noise at each, or an ODE without. The estimator follows the "
        "log-densities. The trapezoidal Itô estimator is as quick as the paper's and needs about ten times fewer "
        "steps for the same error. *Ancestral* steps are the default: with them the shares of an OR are right at 100 "
        "steps, while Euler-Maruyama needs many more. An ODE needs a divergence: *Hutchinson* estimates it, and the "
        "*exact trace* is offered where samples have few dimensions. A noise scale below 1 keeps samples nearer to the "
        "peaks of the density, as models of proteins are often sampled, at the price of variety.",
    ),
    (
        "Exact target",
        "What a formula promises: the density p with *log p = f(log q₁, log q₂, …)*. The weights of the scores are the "
        "derivatives of f, so every step points the right way, and still the samples arrive with another density: "
        "only for OR at T = 1 do they follow it by themselves. In the plane the target is drawn as contour lines, and "
        "the figures of a run say how far its samples are from it.",
    ),
    (
        "Correction and particles",
        "Samples become *particles* that carry a weight w each. At every step the weight changes by what the step got "
        "wrong, which follows from the experts' scores alone and costs no call of a network. Particles of one group "
        "are compared with each other: those with large weights are what the target has more of. The final weights "
        "stand beside the samples, in the table and in the files.",
    ),
    (
        "Effective sample size",
        "How many equally weighted samples the weighted ones are worth, *(Σ w)² / Σ w²*: from all the particles of a "
        "group, when all weigh the same, down to 1, when one has all the weight. Its curve falls while weights drift "
        "apart, and jumps back where particles are resampled.",
    ),
    (
        "Resampling and lineage",
        "When the effective sample size falls below its threshold, a group is drawn anew in proportion to the weights: "
        "heavy particles are copied, light ones end, and all weigh the same again. The marks on the curves are these "
        "moments. Copies share their past and part by the noise of later steps; the *lineage* shows which early "
        "particles the final samples come from. If it is only a few, the samples are as alike as siblings.",
    ),
    (
        "When not to trust a correction",
        "The correction is exact for infinitely many particles, steps and exact scores. It degenerates where one "
        "weight outgrows all others: in many dimensions, since the weights' spread grows with them, with few "
        "particles, and with strong formulas, such as high powers or *not* of experts that hardly overlap. Signs are "
        "an effective size near 1, a resampling at nearly every step, and a lineage of one or two ancestors. Then "
        "choose more particles, or a weaker formula, or take the samples as they come. Networks' errors are weighed "
        "along with the rest: no correction mends a wrong score.",
    ),
    (
        "Total variation",
        "How far samples are from a density: half the sum, over the cells of a grid, of the difference between the "
        "share of the samples and the probability. 0 is the same, 1 is nothing in common. Even exact samples are not "
        "at 0, since there are only so many; their mean stands beside it as the floor.",
    ),
    (
        "A file of your own",
        "Molecules (SDF) and proteins (PDB, mmCIF) can be judged by the experts of the form, below the samples. Every "
        "record is read, or named with its number and the reason. A molecule without 3D coordinates is not scored; "
        "missing hydrogens can be added, by RDKit; a missing O of a protein is put in the plane of its peptide bond.",
    ),
]


def draw_guide() -> None:
    """Words, operators, models, and where it all comes from."""
    st.markdown("## Guide")
    st.markdown(
        "The studio composes diffusion models while they sample, without training anything. Choose experts and an "
        "operator on the **Compose** page, press Run, and watch how likely each expert finds the samples as they form. "
        "The address line always names your runs and your form: reload it, keep it or pass it on."
    )
    st.markdown("### Words")
    with st.grid(columns=2, min_column_width=340, gap="small", border=True) as cells:
        for title, text in WORDS:
            with cells.cell():
                st.markdown(f"**{title}**\n\n{text}")
    st.markdown("### Operators")
    with st.grid(columns=3, min_column_width=280, gap="small", border=True) as cells:
        for operator in OPERATORS.values():
            with cells.cell():
                st.markdown(f"**{operator.title}**\n\n{operator.line}\n\n${operator.formula}$")
                for parameter in operator.parameters:
                    if isinstance(parameter, PerExpert) and parameter.meaning:
                        st.caption(f"{parameter.noun.capitalize()}: {parameter.meaning}")
    with guarded("the list of formulas"):
        _formulas()
    with guarded("the list of models"):
        _models()
    st.markdown("### Where it comes from")
    st.markdown(
        "Skreta, Atanackovic, Bose, Tong, Neklyudov, *The Superposition of Diffusion Models Using the Itô Density "
        "Estimator*, 2025, arXiv 2412.17762. The trapezoidal estimator and AND with ridge and feedback are this "
        "studio's own."
    )


def _formulas() -> None:
    st.markdown("### Formulas")
    st.markdown(
        "Each on a page of its own, in the plane, where everything is known exactly: the density that is meant, the "
        "samples as they come and corrected, the mathematics, and the recipe to open."
    )
    with st.grid(columns=3, min_column_width=280, gap="small", border=True) as cells:
        for page in formula_pages():
            with cells.cell():
                picture = view_of(page.recipe.domain).formula_thumbnail(page)
                with st.container(horizontal=True, gap="small", vertical_alignment="center", wrap=False):
                    if picture:
                        st.image(picture, width=84, alt=f"Contour lines of {page.title}")
                    with st.container(gap="xxsmall"):
                        st.page_link(page_of(page), label=f"**{page.title}**")
                        st.caption(f"{page.line[0].upper()}{page.line[1:]}.")


def _models() -> None:
    st.markdown("### Models")
    for domain in domains().values():
        infos = domain.models()
        if not infos:
            if domain.getting_models:
                st.markdown(f"**{domain.title}**")
                st.caption(plain(domain.getting_models))
            continue
        st.markdown(f"**{domain.title}**")
        rows = [(info.title, info.id, info.description, SOURCES.get(info.source, info.source)) for info in infos]
        table = pd.DataFrame(rows, columns=["model", "id in recipes", "what it is", "where from"])
        st.dataframe(table, hide_index=True, alt=f"Models of the domain {domain.title}")
        for info in infos:
            # Only cards that ship with the studio are shown as Markdown: they were written here.
            card = assets_folder() / info.id / "README.md"
            if info.source == "embedded" and card.is_file():
                with st.expander(f"Model card: {plain(info.title)}", key=f"card-{info.id}"):
                    st.markdown(card.read_text("utf-8").partition("\n---\n")[2] or card.read_text("utf-8"))
