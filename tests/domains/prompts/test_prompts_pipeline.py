"""Text-to-image pipelines as experts: against diffusers' own sampling, and invariances."""

import json

import diffusers
import pytest
import torch

from superdiff_engine import And, Average, Or, Single, sample
from superdiff_engine.domains.prompts.pipeline import RowsAtOnce, interval_guidance, load_text_to_image
from superdiff_engine.errors import ModelError
from superdiff_engine.geometry import Euclidean

PROMPT = "a cat, sitting"
VP = ["sd", "sd_v", "sd_x0", "sdxl", "sdxl_v"]
#: Guidance, negative prompt, and (height, width) in pixels.
GUIDED = [(1.0, None, (16, 16)), (5.0, None, (16, 16)), (5.0, "blurry", (24, 32))]


class From(Euclidean):
    """A space whose prior is one given state, so that two samplers begin alike."""

    def __init__(self, start):
        super().__init__(start.shape[1:])
        self.start = start

    def prior(self, batch, level, generator, dtype, device):
        return self.start


def last(steps):
    for step in steps:
        pass
    return step


def theirs_of(folder):
    """The pipeline as diffusers itself reads it."""
    kind = json.loads((folder / "model_index.json").read_text())["_class_name"]
    missing = {"text_encoder_3": None, "tokenizer_3": None} if kind == "StableDiffusion3Pipeline" else {}
    pipe = getattr(diffusers, kind).from_pretrained(folder, **missing)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def noise(shape, seed=3):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("guidance", "negative", "size"), GUIDED)
@pytest.mark.parametrize("kind", VP)
def test_one_prompt_equals_diffusers_ddim(pipelines, kind, guidance, negative, size):
    """Six steps of DDIM without noise, in float32: the same latents to 1e-4 of their spread."""
    folder = pipelines(kind)
    pipe = theirs_of(folder)
    start = noise((2, 4, size[0] // 2, size[1] // 2))
    theirs = pipe(
        [PROMPT] * 2,
        num_inference_steps=6,
        guidance_scale=guidance,
        negative_prompt=negative and [negative] * 2,
        height=size[0],
        width=size[1],
        eta=0.0,
        latents=start,
        output_type="latent",
    ).images

    model = load_text_to_image(folder)
    table = pipe.scheduler.alphas_cumprod
    alphas = torch.cat([table[pipe.scheduler.timesteps], pipe.scheduler.final_alpha_cumprod.view(1)]).double().sqrt()
    levels = (1 - alphas**2).sqrt() / alphas
    ours = last(
        sample(
            [model.expert(PROMPT, size)],
            Single(0),
            levels,
            batch=2,
            solver="ode",
            estimator="none",
            space=From((start / alphas[0]).float()),
            guidance=model.guidance(guidance, negative or "", size) if guidance != 1 else None,
        )
    )
    torch.testing.assert_close(ours.samples * alphas[-1].float(), theirs, rtol=0, atol=1e-4 * float(theirs.std()))


@pytest.mark.parametrize(("guidance", "negative", "size"), GUIDED)
def test_one_prompt_equals_diffusers_flow_matching(pipelines, guidance, negative, size):
    """Stable Diffusion 3's own Euler steps of the flow are DDIM's in canonical coordinates, to 1e-4 of the spread."""
    folder = pipelines("sd3")
    pipe = theirs_of(folder)
    start = noise((2, 16, size[0] // 2, size[1] // 2))
    theirs = pipe(
        [PROMPT] * 2,
        sigmas=[0.97, 0.8, 0.6, 0.4, 0.2],
        guidance_scale=guidance,
        negative_prompt=negative and [negative] * 2,
        height=size[0],
        width=size[1],
        latents=start,
        output_type="latent",
    ).images

    model = load_text_to_image(folder)
    sigmas = pipe.scheduler.sigmas.double()[:-1]  # shifted by the scheduler; its last one is 0
    levels = sigmas / (1 - sigmas)
    ours = last(
        sample(
            [model.expert(PROMPT, size)],
            Single(0),
            levels,
            batch=2,
            solver="ode",
            estimator="none",
            space=From((start / (1 - sigmas[0])).float()),
            guidance=model.guidance(guidance, negative or "", size) if guidance != 1 else None,
        )
    )
    # A last step to sigma = 0 lands on the denoised mean.
    torch.testing.assert_close(ours.denoised, theirs, rtol=0, atol=1e-4 * float(theirs.std()))


@pytest.mark.parametrize("kind", ["sd", "sd_v", "sdxl", "sd3"])
@pytest.mark.parametrize("operator", [And(), Average()])
def test_two_identical_prompts_equal_one(pipelines, kind, operator):
    model = load_text_to_image(pipelines(kind))
    levels = torch.logspace(1, -1, 6, dtype=torch.float64)
    settings = {"batch": 2, "seed": 5, "solver": "euler", "guidance": model.guidance(3.0)}
    one = last(sample([model.expert(PROMPT)], Single(0), levels, **settings))
    two = last(sample([model.expert(PROMPT)] * 2, operator, levels, **settings))
    torch.testing.assert_close(two.samples, one.samples, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(two.log_density[0], two.log_density[1])


@pytest.mark.parametrize("kind", ["sd", "sdxl", "sd3"])
def test_scores_are_finite_at_both_ends(pipelines, kind):
    """Also at the noisiest level of the flow schedule, where other implementations divide by zero."""
    model = load_text_to_image(pipelines(kind))
    lowest, highest = model.level_range
    start = noise((3, *model.space().tangent_shape))
    for level in (highest, lowest):
        for score in model.scores(start * level, level, [model.encode(PROMPT), model.unconditional()]):
            assert score.isfinite().all()
    step = last(sample([model.expert("a"), model.expert("b")], Or(), torch.tensor([highest, 1.0, lowest]), batch=2))
    assert step.samples.isfinite().all() and step.log_density.isfinite().all()


@pytest.mark.parametrize("kind", ["sd", "sdxl", "sd3"])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float16", 5e-3), ("bfloat16", 4e-2)])
def test_half_precision_scores_are_close_and_float32(pipelines, kind, dtype, tolerance):
    """Within a few roundings of the dtype (2^-11, 2^-8) of the float32 score, and finite at the noisiest level."""
    whole, half = load_text_to_image(pipelines(kind)), load_text_to_image(pipelines(kind), dtype=dtype)
    y = noise((2, *half.space().tangent_shape))
    expected, score = (model.scores(y, 1.0, [model.encode(PROMPT)])[0] for model in (whole, half))
    assert score.dtype == torch.float32
    assert (score - expected).norm() < tolerance * expected.norm()
    highest = half.level_range[1]
    assert half.scores(highest * y, highest, [half.encode(PROMPT)])[0].isfinite().all()


@pytest.mark.parametrize("kind", ["sd", "sdxl", "sd3"])
def test_a_step_is_one_call_to_the_network(pipelines, kind, monkeypatch):
    """Two prompts and the unconditional expert, batch 2: six rows at once, and the same scores as one by one."""
    model = load_text_to_image(pipelines(kind))
    rows = []
    predict = model.family.predict

    def counted(pipe, x, *rest):
        rows.append(len(x))
        return predict(pipe, x, *rest)

    monkeypatch.setattr(model.family, "predict", counted)
    levels = torch.tensor([10.0, 3.0, 1.0, 0.3])
    experts = [model.expert("a cat"), model.expert("a dog")]
    last(sample(experts, And(), levels, batch=2, guidance=model.guidance(4.0)))
    assert rows == [6] * 4
    y = noise((2, *model.space().tangent_shape))
    together = model.scores(y, 1.0, [expert.condition for expert in experts])
    for expert, score in zip(experts, together, strict=True):
        torch.testing.assert_close(expert.score(y, 1.0), score, rtol=1e-4, atol=1e-5)


def test_a_prompt_is_encoded_once(pipelines, monkeypatch):
    model = load_text_to_image(pipelines("sd"))
    seen = []
    monkeypatch.setattr(model.pipe.text_encoder, "forward", _recorder(model.pipe.text_encoder.forward, seen))
    for _ in range(3):
        model.expert("a unicorn")
        model.guidance(2.0, "blurry")
    assert len(seen) == 2


def _recorder(function, seen):
    def recorded(*args, **more):
        seen.append(1)
        return function(*args, **more)

    return recorded


def test_short_memory_halves_the_call_and_changes_nothing(pipelines, monkeypatch):
    model = load_text_to_image(pipelines("sd"))
    y = noise((5, *model.space().tangent_shape))
    conditions = [model.encode("a cat"), model.encode("a dog")]
    whole = model.scores(y, 2.0, conditions)
    predict, sizes = model.family.predict, []

    def small(pipe, x, *rest):
        if len(x) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        sizes.append(len(x))
        return predict(pipe, x, *rest)

    monkeypatch.setattr(model.family, "predict", small)
    model._rows = RowsAtOnce()
    for first, second in zip(whole, model.scores(y, 2.0, conditions), strict=True):
        torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-5)
    assert sizes == [2] * 5  # 10 -> 5 -> 2, remembered
    assert model.splits == 2
    monkeypatch.setattr(model.family, "predict", lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError()))
    with pytest.raises(ModelError, match="more memory for one picture"):
        model.scores(y, 2.0, conditions)
    model._rows = RowsAtOnce()


def test_other_errors_of_the_network_are_not_taken_for_short_memory():
    with pytest.raises(RuntimeError, match="shapes"):
        RowsAtOnce().run(lambda rows: (_ for _ in ()).throw(RuntimeError("shapes cannot be multiplied")), 4, "model")


@pytest.mark.parametrize("kind", ["sd", "sdxl", "sd3"])
def test_decoding_equals_diffusers(pipelines, kind):
    folder = pipelines(kind)
    pipe = theirs_of(folder)
    latents = noise((6, *load_text_to_image(folder).space().tangent_shape))
    shift = pipe.vae.config.shift_factor or 0.0
    with torch.no_grad():
        theirs = pipe.vae.decode(latents / pipe.vae.config.scaling_factor + shift).sample
    theirs = pipe.image_processor.postprocess(theirs, output_type="np") * 255
    assert abs(load_text_to_image(folder).decode(latents) - theirs).max() <= 0.51


def test_guidance_between_levels(pipelines):
    """Outside the interval the drift is the prompt's own, inside it is guided (arXiv 2404.07724)."""
    weight = interval_guidance(4.0, 0.5, 2.0)
    assert [weight(level) for level in (0.4, 0.5, 0.6, 2.0, 2.1)] == [1.0, 1.0, 4.0, 4.0, 1.0]
    model = load_text_to_image(pipelines("sd"))
    start = noise((1, 4, 8, 8))

    def moved(level, guidance):
        levels = torch.tensor([level, 0.9 * level])
        expert = model.expert(PROMPT)
        return last(
            sample([expert], Single(0), levels, batch=1, solver="ode", estimator="none", space=From(start),
                   guidance=guidance)
        ).samples  # fmt: skip

    torch.testing.assert_close(moved(5.0, model.guidance(weight)), moved(5.0, None), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(moved(1.0, model.guidance(weight)), moved(1.0, model.guidance(4.0)))
    with pytest.raises(ValueError, match="low < high"):
        interval_guidance(4.0, 2.0, 1.0)


def test_what_was_cut_is_said(pipelines):
    model = load_text_to_image(pipelines("sd"))
    assert model.encode("a cat").warnings == ()
    condition = model.encode("abcdefghijklmn the rest")
    assert condition.cut == ("the rest",)
    assert "'the rest'" in condition.warnings[0] and "16 tokens" in condition.warnings[0]
    with pytest.raises(ModelError, match="prompt is empty"):
        model.encode("  ")


def test_sizes_that_cannot_be_made(pipelines):
    model = load_text_to_image(pipelines("sd3"))
    assert model.space((32, 16)).tangent_shape == (16, 16, 8)
    with pytest.raises(ModelError, match="multiples of 4 pixels, not 18 x 16; the nearest is 16 x 16"):
        model.space((18, 16))
    with pytest.raises(ModelError, match="at most 64 pixels"):
        model.space((16, 68))
