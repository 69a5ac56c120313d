"""The layouts in which pipelines are published, and pipelines that bring code along, none of which is run."""

import json
import shutil

import pytest
import tiny_text_pipelines as tiny
import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from safetensors.torch import load_file, save_file

from superdiff_engine.domains import get_domain
from superdiff_engine.domains.checked import make_recipe
from superdiff_engine.domains.prompts.loading import choose_files, family_of
from superdiff_engine.domains.prompts.pipeline import load_text_to_image
from superdiff_engine.errors import ModelError
from superdiff_engine.runs.run import Run
from superdiff_engine.score import ConditionedScore

UNET = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture
def copy(pipelines, tmp_path):
    """A function that gives a copy of a tiny pipeline that a test may change."""
    return lambda kind="sd": shutil.copytree(pipelines(kind), tmp_path / kind)


def change(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def weights_of(folder, part="unet"):
    return getattr(load_text_to_image(folder).pipe, part).state_dict()


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], value) for name, value in other.items())


@pytest.mark.parametrize("variant", ["fp32", "fp16", "bf16", "ema", "non_ema"])
def test_the_only_variant_is_used(copy, pipelines, variant, monkeypatch):
    folder = copy()
    for path in folder.rglob("*.safetensors"):
        path.rename(path.with_name(path.name.replace(".safetensors", f".{variant}.safetensors")))
    for part in ("unet", "vae", "text_encoder"):
        assert same(weights_of(folder, part), weights_of(pipelines("sd"), part))
    monkeypatch.setenv("SUPERDIFF_MODELS", str(folder.parent))
    experts = [{"model": "local/sd", "prompt": "a cat"}]
    run = Run(make_recipe({"domain": "prompts", "experts": experts, "levels": {"steps": 2}, "batch": 1}))
    run.execute()
    # Half precision is the same weights; those of another average are said.
    said = [f"The {part} of sd has weights of the variant '{variant}' only; these are used."
            for part in ("vae", "text_encoder", "unet")]  # fmt: skip
    assert run.notes == (said if "ema" in variant else [])


def test_plain_weights_go_before_any_variant(copy, pipelines):
    folder = copy()
    spoiled = {name: value * 0 for name, value in load_file(folder / UNET).items()}
    for variant in ("fp16", "bf16", "ema", "non_ema", "int8"):
        save_file(spoiled, folder / f"unet/diffusion_pytorch_model.{variant}.safetensors", {"format": "pt"})
    (folder / "unet/diffusion_pytorch_model.bin").write_bytes(b"a pickle")
    (folder / "unet/diffusion_flax_model.msgpack").write_bytes(b"flax")
    assert same(weights_of(folder), weights_of(pipelines("sd")))


@pytest.mark.parametrize("variant", [None, "fp16", "bf16"])
@pytest.mark.parametrize("kind", ["sd", "sd3"])
def test_weights_in_several_files(copy, pipelines, kind, variant):
    folder = copy(kind)
    network = "transformer" if kind == "sd3" else "unet"
    pipe = load_text_to_image(folder).pipe
    for part in (network, "text_encoder"):
        for path in (folder / part).glob("*.safetensors"):
            path.unlink()
        getattr(pipe, part).save_pretrained(folder / part, max_shard_size="60KB", variant=variant)
        assert len(list((folder / part).glob("*.safetensors"))) > 1
        assert same(weights_of(folder, part), weights_of(pipelines(kind), part))


def test_a_variant_that_cannot_be_read_is_named(copy):
    folder = copy()
    (folder / UNET).rename(folder / "unet/diffusion_pytorch_model.int8.safetensors")
    with pytest.raises(ModelError, match=r"unet are there only as 'int8', which cannot be read; .* fp16, bf16, ema"):
        load_text_to_image(folder)


@pytest.mark.parametrize("kind", ["sd", "sdxl"])
@pytest.mark.parametrize("name", ["SuperDiffPipeline", "SuperDiffSDXLPipeline", ["pipeline", "SuperDiffPipeline"]])
def test_pipelines_of_this_method_are_what_their_parts_are(copy, pipelines, kind, name, monkeypatch):
    """As superdiff/superdiff-sd-v1-4 and -sdxl-v1-0 are published: a class in pipeline.py, some without a scheduler."""
    folder = copy(kind)
    index = json.loads((folder / "model_index.json").read_text())
    for part in ("scheduler", "safety_checker", "feature_extractor", "image_encoder"):
        index.pop(part, None)
    (folder / "model_index.json").write_text(json.dumps(index | {"_class_name": name}))
    shutil.rmtree(folder / "scheduler")
    for place in (folder, folder / "unet"):
        (place / "pipeline.py").write_text("raise SystemExit('executed')")
    ours, plain = load_text_to_image(folder), load_text_to_image(pipelines(kind))
    assert type(ours.pipe) is {"sd": StableDiffusionPipeline, "sdxl": StableDiffusionXLPipeline}[kind]
    # The tiny pipelines have Stable Diffusion's own noise schedule, and predict the noise.
    y = torch.randn(2, *plain.space().tangent_shape)
    for level in (0.1, 3.0):
        assert torch.equal(ours.expert("a cat").score(y, level), plain.expert("a cat").score(y, level))
    assert ours.level_range == plain.level_range
    monkeypatch.setenv("SUPERDIFF_MODELS", str(folder.parent))
    assert [info.id for info in get_domain("prompts").models() if info.source == "local"] == [f"local/{kind}"]
    assert not [info for info in get_domain("pictures").models() if info.source == "local"]
    (note,) = ours.notes
    assert "has no scheduler: the noise levels that Stable Diffusion" in note


def test_stable_diffusion_2_without_a_scheduler_is_not_guessed(copy):
    """One kind of it predicts the noise, the other v; their networks look alike."""
    folder = copy()
    change(folder / "unet/config.json", cross_attention_dim=1024)
    shutil.rmtree(folder / "scheduler")
    with pytest.raises(ModelError, match="what its network predicts is not known; copy the folder 'scheduler'"):
        load_text_to_image(folder)


def test_a_class_with_other_parts_is_refused(copy):
    folder = copy()
    change(folder / "model_index.json", _class_name="MyPipeline", controlnet=["diffusers", "ControlNetModel"])
    with pytest.raises(ModelError, match="is a MyPipeline; choose one of"):
        load_text_to_image(folder)


def spoil_scheduler(folder, name):
    change(folder / "model_index.json", scheduler=["diffusers", name])


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda folder: spoil_scheduler(folder, "DiffusionPipeline"), "lists DiffusionPipeline as its scheduler"),
        (lambda folder: spoil_scheduler(folder, "ScoreSdeVpScheduler"), "lists ScoreSdeVpScheduler as its scheduler"),
        (lambda folder: spoil_scheduler(folder, "SchedulerMixin"), "lists SchedulerMixin as its scheduler"),
        (lambda folder: change(folder / "model_index.json", vae=["diffusers", "VQModel"]), "lists VQModel as its vae"),
        (
            lambda folder: change(folder / "unet/config.json", quantization_config={"quant_method": "bitsandbytes"}),
            "unet of sd is quantised",
        ),
        (
            lambda folder: change(folder / "text_encoder/config.json", quantization_config={"quant_method": "gptq"}),
            "text_encoder of sd is quantised",
        ),
        (lambda folder: (folder / "text_encoder/adapter_config.json").write_text("{}"), "is an adapter"),
    ],
)
def test_no_setting_chooses_a_class(copy, spoil, sentence):
    folder = copy()
    spoil(folder)
    with pytest.raises(ModelError, match=sentence):
        load_text_to_image(folder)


def test_other_classes_in_the_settings_of_parts_are_not_made(copy, pipelines):
    folder = copy()
    change(folder / "unet/config.json", _class_name="FluxTransformer2DModel", auto_map={"AutoModel": "evil.Model"})
    change(folder / "scheduler/scheduler_config.json", _class_name="EvilScheduler")
    change(
        folder / "text_encoder/config.json",
        architectures=["Evil"],
        auto_map={"AutoModel": "evil--Model"},
        attn_implementation="nobody/kernels",
        _attn_implementation="nobody/kernels",
    )
    change(folder / "tokenizer/tokenizer_config.json", auto_map={"AutoTokenizer": ["evil.T", None]})
    (folder / "tokenizer/config.json").write_text(json.dumps({"model_type": "bert"}))
    ours, plain = load_text_to_image(folder), load_text_to_image(pipelines("sd"))
    for part in ("unet", "scheduler", "text_encoder", "tokenizer", "vae"):
        assert type(getattr(ours.pipe, part)) is type(getattr(plain.pipe, part)), part
    assert torch.equal(ours.encode("a cat").embeddings, plain.encode("a cat").embeddings)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_a_network_in_memory_does_not_hang_on_its_file(copy, part):
    """A file that is mapped into memory would change the network, and end the program when it is cut short."""
    folder = copy()
    network = getattr(load_text_to_image(folder).pipe, part)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    (path,) = (folder / part).glob("*.safetensors")
    size = path.stat().st_size
    with open(path, "r+b") as file:
        file.write(b"\0" * size)
    assert same(network.state_dict(), before)
    with open(path, "r+b") as file:
        file.truncate(10)
    assert same(network.state_dict(), before)
    with pytest.raises(ModelError, match="damaged or was cut off"):
        load_text_to_image(folder)


#: What is published: names of files in huggingface.co's listings (2024), without pictures and cards.
PARTS = ("text_encoder/model", "unet/diffusion_pytorch_model", "vae/diffusion_pytorch_model")
SD_1_5 = [
    *(
        "model_index.json",
        "feature_extractor/preprocessor_config.json",
        "safety_checker/config.json",
        "v1-5-pruned.ckpt",
    ),
    *("safety_checker/model.safetensors", "safety_checker/pytorch_model.bin", "v1-5-pruned-emaonly.safetensors"),
    *("scheduler/scheduler_config.json", "tokenizer/merges.txt", "tokenizer/special_tokens_map.json"),
    *("tokenizer/tokenizer_config.json", "tokenizer/vocab.json", "text_encoder/config.json", "unet/config.json"),
    *("vae/config.json", "text_encoder/pytorch_model.bin", "unet/diffusion_pytorch_model.bin"),
    *(f"{part}.safetensors" for part in PARTS),
    *(f"{part}.fp16.safetensors" for part in PARTS),
    *("unet/diffusion_pytorch_model.non_ema.safetensors", "unet/diffusion_pytorch_model.non_ema.bin"),
    *("text_encoder/model.onnx", "text_encoder/openvino_model.xml", "text_encoder/flax_model.msgpack"),
    *("unet/model.onnx", "unet/weights.pb", "text_encoder/tf_model.h5", "unet/openvino_model.bin"),
]


def test_of_a_published_repository_only_what_is_needed_is_chosen():
    kinds = {"unet": "UNet2DConditionModel", "vae": "AutoencoderKL", "text_encoder": "CLIPTextModel"}
    kinds |= {"tokenizer": "CLIPTokenizer", "scheduler": "PNDMScheduler"}
    index = {name: ["", kind] for name, kind in kinds.items()}
    index["_class_name"] = "StableDiffusionPipeline"
    needed = {
        *("model_index.json", "scheduler/scheduler_config.json", "tokenizer/merges.txt", "tokenizer/vocab.json"),
        *("tokenizer/special_tokens_map.json", "tokenizer/tokenizer_config.json"),
        *("text_encoder/config.json", "unet/config.json", "vae/config.json"),
    }
    family = family_of(index, "a/b")
    assert {*choose_files(SD_1_5, family, index, "a/b")} == needed | {f"{part}.safetensors" for part in PARTS}
    half = [name for name in SD_1_5 if name not in {f"{part}.safetensors" for part in PARTS}]
    assert {*choose_files(half, family, index, "a/b")} == needed | {f"{part}.fp16.safetensors" for part in PARTS}
    shards = [f"unet/diffusion_pytorch_model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    several = [*(name for name in SD_1_5 if name != f"{PARTS[1]}.safetensors"), *shards]
    several += [f"{PARTS[1]}.safetensors.index.json", f"{PARTS[1]}.safetensors.index.fp16.json"]
    several += [f"unet/diffusion_pytorch_model.fp16-0000{number}-of-00002.safetensors" for number in (1, 2)]
    chosen = {*choose_files(several, family, index, "a/b")}
    assert {name for name in chosen if name.startswith("unet/")} == {
        "unet/config.json", f"{PARTS[1]}.safetensors.index.json", *shards
    }  # fmt: skip


def test_parts_that_are_null_are_left_out(tmp_path):
    """Stable Diffusion 3 without T5, as diffusers saves it."""
    folder = tiny.save(tmp_path / "sd3", "sd3")
    index = json.loads((folder / "model_index.json").read_text())
    assert index["text_encoder_3"] == [None, None]
    model = load_text_to_image(folder)
    assert isinstance(model.expert("a cat"), ConditionedScore) and model.pipe.text_encoder_3 is None
