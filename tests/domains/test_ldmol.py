"""LDMol's networks against recordings of its authors' code (tests/recordings), and their files."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from official_layout import (
    PIECES,
    TINY_DECODER,
    TINY_LDMOL,
    drawn,
    ldmol_autoencoder_state,
    ldmol_checkpoints,
    ldmol_state,
)
from tiny_ldmol import spiece
from transformers import T5Config, T5EncoderModel

from superdiff_engine.domains.smiles.autoencoder import SmilesDecoder
from superdiff_engine.domains.smiles.convert import CONVERSIONS, LDMolOptions
from superdiff_engine.domains.smiles.names import (
    decoder_renamed,
    decoder_settings,
    text_renamed,
    transformer_renamed,
    transformer_settings,
)
from superdiff_engine.domains.smiles.network import LatentTransformer
from superdiff_engine.domains.smiles.text import read_texts
from superdiff_engine.domains.smiles.vocabulary import Vocabulary
from superdiff_engine.errors import ModelError
from superdiff_engine.noise import DiscreteVP
from superdiff_engine.system import inert

RECORDED = np.load(Path(__file__).parent.parent / "recordings" / "ldmol.npz")
SMALL = {"read_width": 96, "width": 128, "depth": 2, "heads": 2, "hidden": 256}
#: The largest difference, relative to the largest number.
CLOSE = 1e-5


def numbers(seed, *shape):
    return torch.from_numpy(np.random.RandomState(seed).standard_normal(shape).astype(np.float32))


def words(lengths):
    return torch.arange(max(lengths)) < torch.as_tensor(lengths).unsqueeze(1)


def difference(found, recorded):
    recorded = torch.from_numpy(recorded)
    assert found.shape == recorded.shape
    return float((found - recorded).abs().max() / recorded.abs().max())


def loaded(build, settings_from, renamed, state):
    """The network that an author's tensors make, loaded strictly, and what was left out."""
    ours, left_out = renamed(state)
    with torch.device("meta"):
        network = build(**settings_from(ours))
    network.load_state_dict(ours, assign=True)
    return network.eval().requires_grad_(False), left_out


def denoiser(state):
    return loaded(LatentTransformer, transformer_settings, transformer_renamed, state)[0]


@pytest.fixture(scope="module")
def blocks():
    """The published widths, two blocks deep."""
    return denoiser(ldmol_state({"depth": 2}))


def test_the_published_denoiser_agrees_with_its_authors_code():
    state = ldmol_state()
    assert sum(value.numel() for value in state.values()) == 180_920_960 and len(state) == 206
    network = denoiser(state)
    lengths = RECORDED["full_lengths"].tolist()
    times = torch.from_numpy(RECORDED["full_times"])
    found = network(numbers(10, 2, 127, 64), times, numbers(11, 2, max(lengths), 1024), words(lengths))
    assert difference(found, RECORDED["full_epsilon"]) < CLOSE


def test_two_blocks_agree_at_several_times_and_lengths(blocks):
    lengths, times = RECORDED["blocks_lengths"].tolist(), torch.from_numpy(RECORDED["blocks_times"])
    x, text = numbers(20, 4, 127, 64), numbers(21, 4, max(lengths), 1024)
    found = blocks(x, times, text, words(lengths))
    assert difference(found, RECORDED["blocks_epsilon"]) < CLOSE
    # Padding counts for nothing: a text cut to its words says the same.
    alone = blocks(x[1:2], times[1:2], text[1:2, : lengths[1]], words(lengths[1:2]))
    assert (alone - found[1:2]).abs().max() < CLOSE * found.abs().max()


def test_guidance_moves_all_channels(blocks):
    x, text = numbers(30, 1, 127, 64).expand(2, -1, -1), numbers(31, 2, 9, 1024)
    prompt, null = blocks(x, torch.full((2,), 400.0), text, words([9, 4]))
    guided = null + 5 * (prompt - null)
    assert difference(guided[None, ::4], RECORDED["guided_epsilon"]) < CLOSE


def test_the_schedule_is_ddpms():
    betas = np.linspace(1e-4, 0.02, 1000)
    signal = np.cumprod(1 - betas)
    schedule, steps = DiscreteVP.linear(), torch.tensor([0.0, 499.0, 999.0])
    levels = schedule.level(steps)
    np.testing.assert_allclose(levels, np.sqrt(1 / signal[[0, 499, 999]] - 1), rtol=1e-5)
    np.testing.assert_allclose(schedule.time(levels), steps, atol=1e-3)


def test_the_published_decoder_agrees_with_its_authors_code():
    network, left_out = loaded(SmilesDecoder, decoder_settings, decoder_renamed, ldmol_autoencoder_state())
    assert left_out == [
        "encode_prefix.weight",
        "text_encoder.bert.embeddings.position_ids",
        "text_encoder.cls.predictions.decoder.bias",
        "text_encoder2.embeddings.word_embeddings.weight",
    ]
    ids = torch.from_numpy(np.random.RandomState(41).randint(1, 300, (2, 9)))
    ids[:, 0] = 2
    assert difference(network(numbers(40, 2, 127, 64), ids), RECORDED["logits"]) < CLOSE


def test_molecules_are_written_as_by_its_authors_code(tmp_path):
    state = ldmol_autoencoder_state(SMALL)
    for name in state:
        factor = 20 if name.startswith("decode_prefix") else 6 if ".crossattention." in name else 1
        state[name] = state[name] if name.endswith("LayerNorm.weight") else state[name] * factor
    bias = state["text_encoder.cls.predictions.bias"]
    bias[3] += 0.5
    bias[0] += 0.2
    network, _ = loaded(SmilesDecoder, decoder_settings, decoder_renamed, state)
    vocabulary = Vocabulary.read(ldmol_checkpoints(tmp_path)[2])
    latents, told = numbers(50, 8, 127, 64), []
    assert network.write(latents, vocabulary, going_on=told.append) == RECORDED["smiles"].tolist()
    assert told == list(range(1, 151))
    # One latent, one text: whatever is written beside it.
    assert network.write(latents[3:4], vocabulary) == [RECORDED["smiles"][3]]
    assert network.write(latents[:0], vocabulary) == []
    # What is kept of earlier pieces changes nothing: the whole text at once has the same next pieces.
    ids = torch.tensor([[2, *(PIECES.index(f"##{piece}>") for piece in RECORDED["smiles"][3].split(">")[:-1])]])
    np.testing.assert_array_equal(network(latents[3:4], ids)[0, :-1].argmax(-1), ids[0, 1:])


def test_checkpoints_are_read_from_their_files(tmp_path):
    files = ldmol_checkpoints(tmp_path)
    ours, left_out = transformer_renamed(inert.tensors_of(inert.read(files[0]), "ema"))
    assert left_out == ["y_embedder.embedding_table.weight"]
    assert transformer_settings(ours) == {**TINY_LDMOL, "tokens": 127, "channels": 64}
    LatentTransformer(**transformer_settings(ours)).load_state_dict(ours)
    ours, _ = decoder_renamed(inert.tensors_of(inert.read(files[1]), "state_dict"))
    assert decoder_settings(ours) == {**TINY_DECODER, "channels": 64, "pieces": 300, "segments": 2}
    SmilesDecoder(**decoder_settings(ours)).load_state_dict(ours)


def test_tensors_that_do_not_fit_are_named():
    state = ldmol_state(TINY_LDMOL)
    missing = {name: value for name, value in state.items() if name != "blocks.1.cross_attn.kv.bias"}
    wrong = {**missing, "queue": torch.zeros(2), "final_layer.linear.bias": torch.zeros(5)}
    with pytest.raises(ModelError) as told:
        transformer_renamed(wrong)
    assert "missing: blocks.1.cross_attn.kv.bias;" in str(told.value) and "surplus: queue;" in str(told.value)
    assert "final_layer.linear.bias is 5 instead of 128" in str(told.value)
    with pytest.raises(ModelError, match=r"not LDMol's autoencoder's \(missing: text_encoder\.bert"):
        decoder_renamed({"decode_prefix.weight": torch.zeros(8, 64), "text_encoder2.x": torch.zeros(1)})
    with pytest.raises(ModelError, match="not a T5's"):
        text_renamed({"encoder.block.0.layer.0.SelfAttention.q.weight": torch.zeros(2, 2)})


def test_texts_are_read_as_by_its_authors_code(tmp_path):
    molt5, converted = tmp_path / "molt5", tmp_path / "converted"
    molt5.mkdir()
    (molt5 / "spiece.model").write_bytes(spiece())
    sizes = {"vocab_size": 256, "d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2}
    config = T5Config(**sizes, feed_forward_proj="gated-gelu")
    (molt5 / "config.json").write_text(json.dumps(config.to_dict()))
    with torch.device("meta"):
        shapes = {name: tuple(value.shape) for name, value in T5EncoderModel(config).state_dict().items()}
    factors = {name: 20 if name == "shared.weight" else 4 if len(shapes[name]) > 1 else 1 for name in shapes}
    state = {name: drawn(name, shapes[name]) * factors[name] for name in shapes}
    torch.save({**state, "lm_head.weight": torch.zeros(256, 16)}, molt5 / "pytorch_model.bin")
    denoiser, autoencoder, vocabulary = ldmol_checkpoints(tmp_path)
    CONVERSIONS["ldmol"].convert([denoiser, autoencoder], converted, LDMolOptions(vocabulary, molt5))
    found = read_texts(converted, RECORDED["texts"].tolist())
    assert [len(states) for states, _ in found] == RECORDED["text_lengths"].tolist()
    assert [cut for _, cut in found] == [False, False, False, False, True]
    assert difference(torch.cat([states for states, _ in found]), RECORDED["text_states"]) < CLOSE


BAD = {
    "cut.txt": ("".join(f"{piece}\n" for piece in PIECES[:-1]), "has 299 lines where the decoder has 300 pieces"),
    "blank.txt": ("\n".join([*PIECES[:7], "", *PIECES[8:]]), "Line 8 of .*, '', is no piece of SMILES"),
    "strange.txt": ("\n".join([*PIECES[:7], "##\u2028<b>", *PIECES[8:]]), "Line 8 of .*is no piece of SMILES"),
    "start.txt": ("\n".join(["C", *PIECES[1:]]), "does not begin with"),
    "twice.txt": ("\n".join([*PIECES[:-1], "[SEP]"]), "has them twice"),
    "binary.txt": (b"\xff\xfe\x00", "is no text"),
    "large.txt": ("C\n" * 60_000, "is too large"),
}


@pytest.mark.parametrize("name", BAD)
def test_files_that_are_no_vocabulary_are_refused(tmp_path, name):
    content, sentence = BAD[name]
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ModelError, match=sentence):
        Vocabulary.read(tmp_path / name)


def test_a_vocabulary_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ModelError, match="could not be read"):
        Vocabulary.read(tmp_path / "none.txt")
    with pytest.raises(ModelError, match="could not be read"):
        Vocabulary.read(tmp_path)
