"""The tensors of FrameDiff's published checkpoint (282 of them), their names here, and the sizes that they tell.

Ten are left out, which the authors' network keeps for the checkpoint's sake and never uses: of each block's attention a
layer for distances, and a third layer of the torsion's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ...naming import Names, count_of
from .framediff import FrameDiffNetwork

#: Of a block, which Proteus has as well: (theirs, ours).
BLOCK = [
    ("score_model.trunk.ipa_#.head_weights", "blocks.#.attention.sharpness"),
    ("score_model.trunk.ipa_#.linear_q.*", "blocks.#.attention.query.*"),
    ("score_model.trunk.ipa_#.linear_kv.*", "blocks.#.attention.key_value.*"),
    ("score_model.trunk.ipa_#.linear_q_points.*", "blocks.#.attention.query_point.*"),
    ("score_model.trunk.ipa_#.linear_kv_points.*", "blocks.#.attention.key_value_point.*"),
    ("score_model.trunk.ipa_#.linear_b.*", "blocks.#.attention.bias.*"),
    ("score_model.trunk.ipa_#.down_z.*", "blocks.#.attention.narrow.*"),
    ("score_model.trunk.ipa_#.linear_out.*", "blocks.#.attention.out.*"),
    ("score_model.trunk.ipa_ln_#.*", "blocks.#.norm.*"),
    ("score_model.trunk.skip_embed_#.*", "blocks.#.skip.*"),
    ("score_model.trunk.seq_tfmr_#.layers.#.self_attn.in_proj_*", "blocks.#.chain.#.query_key_value.*"),
    ("score_model.trunk.seq_tfmr_#.layers.#.self_attn.out_proj.*", "blocks.#.chain.#.out.*"),
    ("score_model.trunk.seq_tfmr_#.layers.#.linear1.*", "blocks.#.chain.#.first.*"),
    ("score_model.trunk.seq_tfmr_#.layers.#.linear2.*", "blocks.#.chain.#.last.*"),
    ("score_model.trunk.seq_tfmr_#.layers.#.norm1.*", "blocks.#.chain.#.attention_norm.*"),
    ("score_model.trunk.seq_tfmr_#.layers.#.norm2.*", "blocks.#.chain.#.norm.*"),
    ("score_model.trunk.post_tfmr_#.*", "blocks.#.post.*"),
    ("score_model.trunk.node_transition_#.linear_1.*", "blocks.#.transition.first.*"),
    ("score_model.trunk.node_transition_#.linear_2.*", "blocks.#.transition.second.*"),
    ("score_model.trunk.node_transition_#.linear_3.*", "blocks.#.transition.last.*"),
    ("score_model.trunk.node_transition_#.ln.*", "blocks.#.transition.norm.*"),
    ("score_model.trunk.bb_update_#.linear.*", "blocks.#.move.*"),
]
#: Of the pairs' simple update, which Proteus may have as well.
EDGE = [
    ("score_model.trunk.edge_transition_#.initial_embed.*", "edges.#.narrow.*"),
    ("score_model.trunk.edge_transition_#.trunk.0.*", "edges.#.first.*"),
    ("score_model.trunk.edge_transition_#.trunk.2.*", "edges.#.second.*"),
    ("score_model.trunk.edge_transition_#.final_layer.*", "edges.#.last.*"),
    ("score_model.trunk.edge_transition_#.layer_norm.*", "edges.#.norm.*"),
]
#: Of the embedders, likewise.
EMBEDDERS = [
    ("embedding_layer.node_embedder.#.*", "residue_in.#.*"),
    ("embedding_layer.edge_embedder.#.*", "pair_in.#.*"),
]
TORSION = [
    ("score_model.torsion_pred.linear_1.*", "torsion.first.*"),
    ("score_model.torsion_pred.linear_2.*", "torsion.second.*"),
    ("score_model.torsion_pred.linear_final.*", "torsion.last.*"),
]
#: Kept by the authors for the checkpoint's sake.
UNUSED = ["score_model.trunk.ipa_#.linear_rbf.*", "score_model.torsion_pred.linear_3.*"]

NAMES = Names([*EMBEDDERS, *BLOCK, *EDGE, *TORSION], UNUSED, "FrameDiff")


def renamed(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """(tensors by our names, float32; the authors' names that are left out) of a checkpoint's "model".

    Raises:
        ModelError: names the tensors that are missing, surplus, or of a wrong shape.
    """
    return NAMES.renamed(state, FrameDiffNetwork, settings_from)


def settings_from(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """The network's settings that tensors, by our names, tell; raises KeyError of the name that lacks."""
    waves = (state["residue_in.0.weight"].shape[1] - 1) // 2
    return {"waves": waves, "bins": state["pair_in.0.weight"].shape[1] - 3 * waves - 2, **block_settings(state)}


def block_settings(state: Mapping[str, Tensor]) -> dict[str, int]:
    """Sizes of blocks, which Proteus has as well; raises KeyError of the name that lacks."""
    attention = "blocks.0.attention."
    heads = len(state[attention + "sharpness"])
    points = len(state[attention + "query_point.weight"]) // (3 * heads)
    return {
        "width": state[attention + "query.weight"].shape[1],
        "pair": state[attention + "bias.weight"].shape[1],
        "blocks": count_of(state, "blocks.#.norm.weight"),
        "heads": heads,
        "channels": len(state[attention + "query.weight"]) // heads,
        "query_points": points,
        "value_points": len(state[attention + "key_value_point.weight"]) // (3 * heads) - points,
        "skip": len(state["blocks.0.skip.weight"]),
        "chain_layers": count_of(state, "blocks.0.chain.#.norm.weight"),
    }


def conf_settings(conf: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that no tensor tells, as far as "model" in a checkpoint's "conf", a plain dictionary, has them."""
    said = {
        "nearest": ("embed", "min_bin"),
        "farthest": ("embed", "max_bin"),
        "chain_heads": ("ipa", "seq_tfmr_num_heads"),
    }
    parts = {name: conf.get(part) for name, (part, _) in said.items()}
    found = {name: part.get(said[name][1]) for name, part in parts.items() if isinstance(part, Mapping)}
    return {name: value for name, value in found.items() if value is not None}
