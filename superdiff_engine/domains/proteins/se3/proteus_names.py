"""The tensors of Proteus' published checkpoint (517 of them), their names here, and the sizes that they tell.

50 of them are left out, because no clean frame depends on them: see `REASONS`. The weights of a language model for
sequences, if a checkpoint carries them, are left out as well: `SEQUENCES`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ....errors import ModelError, quoted
from ...naming import WRAPPER, Names
from .framediff_names import BLOCK, EMBEDDERS, block_settings
from .proteus import FAR, KINDS, OTHER_CHAIN, SAME_CHAIN, ProteusNetwork

TEMPLATE, EDGE = "embedding_layer.template_embedder.", "score_model.trunk.edge_transition_#."
ROW, COLUMN = (
    "template_cross_embedder.template_columnwise_attention.mha.",
    "template_cross_embedder.template_pointwise_att.mha.",
)
#: Of a triangle product: (theirs, ours).
PRODUCT = [
    ("layer_norm_in", "norm"),
    ("layer_norm_out", "sum_norm"),
    ("linear_a_p", "first"),
    ("linear_a_g", "first_gate"),
    ("linear_b_p", "second"),
    ("linear_b_g", "second_gate"),
    ("linear_g", "gate"),
    ("linear_z", "out"),
]
#: Of attention among neighbours.
ATTENTION = [
    ("linear_q", "query"),
    ("linear_k", "key"),
    ("linear_v", "value"),
    ("linear_g", "gate"),
    ("linear_o", "out"),
]
#: Layers beside these two: of the pairs' update, and of the estimate before.
UPDATE = [
    ("proj_left", "left"),
    ("proj_right", "right"),
    ("to_gate", "gate"),
    ("emb_rbf", "radial"),
    ("to_bias", "bias"),
    ("layer_norm", "norm"),
]
PREVIOUS = [
    ("template_angle_embedder.linear_1", "residue.0"),
    ("template_angle_embedder.linear_2", "residue.2"),
    ("template_pair_embedder.linear", "pair"),
    ("template_pair_stack.pair_transition.layer_norm", "transition.0"),
    ("template_pair_stack.pair_transition.linear_1", "transition.1"),
    ("template_pair_stack.pair_transition.linear_2", "transition.3"),
    ("template_pair_stack.layer_norm", "norm"),
    (ROW + "linear_v", "residue_value"),
    (ROW + "linear_g", "residue_gate"),
    (ROW + "linear_o", "residue_out"),
    (COLUMN + "linear_v", "pair_value"),
    (COLUMN + "linear_o", "pair_out"),
]
#: Of what may be asked of residues and pairs.
ASKED = [("ss_embedder", "secondary"), ("hotspot_embedder", "hotspot"), ("adjacency_embedder", "contact")]
SIDES = (("tri_mul_out", "outgoing"), ("tri_mul_in", "incoming"))

PAIRS = [
    *EMBEDDERS,
    *BLOCK,
    *((f"embedding_layer.{theirs}.*", f"{ours}.*") for theirs, ours in ASKED),
    *((f"{TEMPLATE}{theirs}.*", f"previous.{ours}.*") for theirs, ours in PREVIOUS),
    *(
        (f"{TEMPLATE}template_pair_stack.{side}.{theirs}.*", f"previous.{our_side}.{ours}.*")
        for side, our_side in SIDES
        for theirs, ours in PRODUCT
    ),
    *((f"{EDGE}{theirs}.*", f"edges.#.{ours}.*") for theirs, ours in UPDATE),
    *(
        (f"{EDGE}{side}.{theirs}.*", f"edges.#.{our_side}.{ours}.*")
        for side, our_side in SIDES
        for theirs, ours in PRODUCT
    ),
    *(
        (f"{EDGE}{side}.{theirs}.*", f"edges.#.{our_side}.{ours}.*")
        for side, our_side in (("mha_start", "starting"), ("mha_end", "ending"))
        for theirs, ours in ATTENTION
    ),
]
#: What no clean frame depends on, and why: patterns of the authors' names.
REASONS = {
    "score_model.trunk.ipa_#.linear_rbf.*": "kept by the authors for the checkpoint's sake, never used",
    "score_model.torsion_pred.*.*": "torsions, which the authors' network does not ask for",
    f"{EDGE}pair_transition.layer_norm.*": "never used by the authors' update of pairs",
    f"{EDGE}pair_transition.linear_#.*": "never used by the authors' update of pairs",
    f"{TEMPLATE}self_condition_s.*": "reads embeddings that the estimate before does not hold",
    f"{TEMPLATE}self_condition_z.*": "reads embeddings that the estimate before does not hold",
    f"{TEMPLATE}{ROW}linear_q.weight": "chooses among templates, of which there is one",
    f"{TEMPLATE}{ROW}linear_k.weight": "chooses among templates, of which there is one",
    f"{TEMPLATE}{COLUMN}linear_q.weight": "chooses among templates, of which there is one",
    f"{TEMPLATE}{COLUMN}linear_k.weight": "chooses among templates, of which there is one",
    "auxiliary_heads.*.linear.*": "distances and angles of pairs, a loss of training",
}
#: How names of what reads sequences begin: ProteinMPNN designs some for the estimate before, ESM-2 embeds them. It is
#: an option of the authors' network, off in their configuration, and acts at a share of steps; it is never used here.
SEQUENCES = ("embedding_layer.struct2seq_embedder.", "embedding_layer.struct2seq_cross_embedder.")

#: Settings of training that change what the network makes of the same tensors: where they stand; what is built here.
BUILT: dict[tuple[str, ...], Any] = {
    ("ipa", "local_triangle_attention_new", "k_linear"): 0,
    ("embed", "feature", "aatype"): False,
    ("embed", "self_condition", "aatype"): "mask",
    ("embed", "self_condition", "all_atom_mask"): "backbone",
    ("embed", "template", "distogram", "max_bin"): FAR,
}

NAMES = Names(PAIRS, list(REASONS), "Proteus")


def renamed(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """(tensors by our names, float32; the authors' names that are left out) of a checkpoint's "model".

    Raises:
        ModelError: names the tensors that are missing, surplus, or of a wrong shape.
    """
    plain = {name.removeprefix(WRAPPER): value for name, value in state.items()}
    of_sequences = [name for name in plain if name.startswith(SEQUENCES)]
    rest = {name: value for name, value in plain.items() if name not in of_sequences}
    tensors, left_out = NAMES.renamed(rest, ProteusNetwork, settings_from)
    return tensors, sorted([*left_out, *of_sequences])


def settings_from(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """The network's settings that tensors, by our names, tell; raises KeyError of the name that lacks."""
    waves = state["residue_in.0.weight"].shape[1] - 1 - KINDS
    places = state["pair_in.0.weight"].shape[1] - 2 * (waves + 1 + KINDS) - OTHER_CHAIN - SAME_CHAIN
    local = "edges.0."
    heads = len(state[local + "bias.weight"])
    return {
        "waves": waves,
        "reach": places // 2,
        "radial": state[local + "radial.weight"].shape[1],
        "narrow": len(state[local + "left.weight"]),
        "triangle": len(state[local + "outgoing.first.weight"]),
        "local_heads": heads,
        "local_channels": len(state[local + "starting.query.weight"]) // heads,
        "seen": len(state["previous.pair.weight"]),
        "seen_triangle": len(state["previous.outgoing.first.weight"]),
        "seen_transition": len(state["previous.transition.1.weight"]),
        "residue_read": len(state["previous.residue_value.weight"]),
        "pair_read": len(state["previous.pair_value.weight"]),
        **block_settings(state),
    }


def conf_settings(conf: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that no tensor tells, as far as "model" in a checkpoint's "conf", a plain dictionary, has them.

    Raises:
        ModelError: if it was trained with a setting of the authors' that is not built here.
        ValueError: if a number is none.
    """
    for path, built in BUILT.items():
        said = _at(conf, path, built)
        if said != built:
            raise ModelError(
                f"The checkpoint was trained with model.{'.'.join(path)} = {quoted(str(said))}, not {built} as the "
                "published one; give the checkpoint as its authors publish it."
            )
    found = {
        "chain_heads": _at(conf, ("ipa", "seq_tfmr_num_heads")),
        "neighbours": _at(conf, ("ipa", "local_triangle_attention_new", "k_neighbour")),
    }
    told = {name: value for name, value in found.items() if value is not None}
    if not all(type(value) is int and value > 0 for value in told.values()):
        raise ValueError(f"numbers of heads and neighbours are whole and positive, not {told}")
    return told


def _at(conf: Any, path: tuple[str, ...], otherwise: Any = None) -> Any:
    """What stands there in nested dictionaries."""
    for name in path:
        if not isinstance(conf, Mapping) or name not in conf:
            return otherwise
        conf = conf[name]
    return conf
