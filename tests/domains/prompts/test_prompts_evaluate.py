"""The tables of pairs of prompts: bookkeeping by hand, shared noise, resuming, and one sentence for what is wrong."""

import hashlib
import json
import shutil
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import tiny_text_pipelines as tiny
import torch
from PIL import Image

from superdiff_engine import CoinFlip, sample
from superdiff_engine.domains.prompts import evaluate as module
from superdiff_engine.domains.prompts import table_rows, table_runs
from superdiff_engine.domains.prompts.domain import find_model
from superdiff_engine.domains.prompts.emoji.concepts import PAIRS, Concept
from superdiff_engine.domains.prompts.judge import classifier as scorer_module
from superdiff_engine.domains.prompts.judge import judges
from superdiff_engine.domains.prompts.judge.classifier import KnownConcepts
from superdiff_engine.domains.prompts.pipeline import load_text_to_image
from superdiff_engine.domains.prompts.table_rows import PairScores, RowReader
from superdiff_engine.domains.prompts.table_runs import TableRun
from superdiff_engine.errors import ModelError, SuperDiffError
from superdiff_engine.system.workplaces.here import Here
from superdiff_engine.tables.markdown import markdown_table
from superdiff_engine.tables.table import read_table

#: Tables are made in what is fast on a machine; these tests in full precision.
Settings = partial(table_runs.Settings, dtype="float32")
NAMES = ("cat", "dog", "lemon", "otter", "duck")
CONCEPTS = tuple(Concept(name, (name,), (), "thing") for name in NAMES)
TWO_PAIRS = (("cat", "dog"), ("otter", "duck"))


class ColourJudge:
    """Scores pictures by the means of their channels and their squares: five numbers a picture, exactly known."""

    concepts = CONCEPTS
    key = "colours"
    notes = "Colours."

    def __init__(self):
        self.seen = 0

    def scores(self, pictures):
        self.seen += len(pictures)
        means = torch.from_numpy(pictures.astype(float) / 255).mean((1, 2))
        return torch.cat([means, means.square()[:, :2]], 1)


@pytest.fixture
def house(pipelines, tmp_path, monkeypatch):
    """A tiny generator called local/tiny, an empty cache, and a judge."""
    monkeypatch.setenv("SUPERDIFF_MODELS", str(tmp_path / "models"))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "tiny").symlink_to(pipelines("sd_v"), target_is_directory=True)
    monkeypatch.setattr(table_runs, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(module, "ClassifierJudge", lambda scorer: ColourJudge())
    monkeypatch.setattr(module, "load_classifier", lambda: KnownConcepts(None, CONCEPTS, {}, ""))
    monkeypatch.setattr(module, "STEPS", (2, 3))
    monkeypatch.setattr(module, "STUDY", ("and/2", "and/3", "and_exact/2", "and_exact/3"))
    return tmp_path


@pytest.fixture
def settings():
    return Settings(seeds=3, steps=2, model="local/tiny", pairs=TWO_PAIRS)


def made(row, settings):
    wanted = table_runs.runs_of(row, settings, CONCEPTS)
    table_runs.parts_of(row, wanted, settings).make_missing(Here(), lambda line: None)


def evaluate(settings, rows=None, out=None):
    return module.EVALUATION.run(settings, rows, out, lambda line: None, workers=1)


# Arithmetic


def test_figures_of_pairs_by_hand():
    first = np.array([[-1.0, -3.0], [-2.0, -0.5]])
    second = np.array([[-4.0, -2.0], [-2.5, -6.5]])
    values = PairScores(first, second, None, np.ones(2, bool), 0.0).values()
    assert values["lower"].value == pytest.approx((-4 - 3 - 2.5 - 6.5) / 4)
    assert values["maximum"].value == pytest.approx((-1 - 2 - 2 - 0.5) / 4)
    assert values["difference"].value == pytest.approx((3 + 1 + 0.5 + 6) / 4)
    # Means of the pairs: lower -3.5 and -4.5; their standard error is half of their distance.
    assert values["lower"].error == pytest.approx(0.5)
    assert values["difference"].error == pytest.approx((3.25 - 2) / 2)
    assert table_rows.mean_over_pairs(first[:1]).error is None


def test_the_error_is_that_of_the_mean_over_pairs():
    """Scores that agree within a pair: as many independent numbers as pairs, however many pictures each has."""
    means = np.random.default_rng(0).normal(size=(2000, 50))
    errors = [table_rows.mean_over_pairs(one[:, None].repeat(8, 1)).error for one in means]
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(1 / np.sqrt(50), rel=0.02)


def test_shares_have_binomial_errors():
    found = table_rows.share(np.array([True] * 3 + [False]))
    assert found.value == 0.75 and found.error == pytest.approx((0.75 * 0.25 / 4) ** 0.5)


def test_prompts_of_a_pair():
    prompts = {kind: table_runs.pair_prompts(kind, ("otter", "donut")) for kind in ("and", "first", "joint_or")}
    assert prompts == {"and": ("an otter", "a donut"), "first": ("an otter",), "joint_or": ("an otter or a donut",)}
    assert table_runs.pair_prompts("joint", ("cat", "dog")) == ("a cat that looks like a dog",)
    assert table_runs.pair_prompts("joint_reversed", ("cat", "dog")) == ("a dog that looks like a cat",)


def test_a_style_ends_every_prompt_and_is_part_of_a_run():
    plain, flat = Settings(), Settings(style="flat style")
    for row in ("and", "joint", "first", *table_runs.SINGLES):
        found, without = (table_runs.runs_of(row, settings, CONCEPTS) for settings in (flat, plain))
        for one, other in zip(found, without, strict=True):
            assert one.prompts == tuple(f"{prompt}, flat style" for prompt in other.prompts)
            assert one.seed == other.seed
    assert table_runs.recipe_of(table_runs.pair_runs("and", flat)[0], flat).experts[0].prompt == "a cat, flat style"


def test_the_twenty_pairs_have_one_seed_each_in_all_rows():
    rows = {row: table_runs.pair_runs(row, Settings(seed=7)) for row in ("and", "average", "joint", "or", "first")}
    for row in rows.values():
        assert [run.seed for run in row] == list(range(7, 7 + len(PAIRS)))
    both = [table_runs.single_runs(row, Settings(), CONCEPTS * 20) for row in table_runs.SINGLES]
    assert [run.seed for run in both[0]] == [run.seed for run in both[1]]
    assert sum(len(run.prompts) for run in both[0]) == 100
    assert not {prompt for one in both[0] for prompt in one.prompts} & {text for one in both[1] for text in one.prompts}


def test_a_sample_of_concepts_is_drawn_without_repetition():
    some = table_runs.drawn_alone(Settings(samples=3), CONCEPTS)
    assert some == sorted(set(some)) and len(some) == 3
    assert table_runs.drawn_alone(Settings(samples=3, seed=0), CONCEPTS) == some
    assert table_runs.drawn_alone(Settings(samples=2000), CONCEPTS) == [0, 1, 2, 3, 4]


def test_only_concepts_that_the_model_has_learned_are_drawn(tmp_path, monkeypatch, pipelines):
    shutil.copytree(pipelines("sd_v"), tmp_path / "few")
    monkeypatch.setenv("SUPERDIFF_MODELS", str(tmp_path))
    settings = Settings(model="local/few")
    assert table_runs.drawn_alone(settings, CONCEPTS) == [0, 1, 2, 3, 4]  # it does not say what it has learned
    listed = {"concepts": [{"id": "x", "name": "duck", "kind": "animal"}, {"name": "dog"}, {"name": "whisk"}]}
    (tmp_path / "few" / "superdiff.json").write_text(json.dumps(listed))
    assert table_runs.drawn_alone(settings, CONCEPTS) == [1, 4]
    assert table_runs.drawn_alone(Settings(model="local/few", samples=1), CONCEPTS) in ([1], [4])


# Sampling


@pytest.mark.parametrize("kind", ["sd_v", "sdxl"])
def test_a_prompt_each_is_every_prompt_alone(pipelines, kind):
    network = load_text_to_image(pipelines(kind))
    prompts = ["a cat", "a dog", "cat"]
    space = network.space()
    y = space.prior(3, 2.0, torch.Generator().manual_seed(0), torch.float32, "cpu")
    each = table_runs.PromptEach.of(network, prompts).score(y, 2.0)
    alone = [network.expert(prompt).score(y[[row]], 2.0)[0] for row, prompt in enumerate(prompts)]
    assert torch.allclose(each, torch.stack(alone), atol=1e-5)
    assert (each[0] - network.expert("a dog").score(y[[0]], 2.0)[0]).abs().max() > 1e-4


def test_rows_share_their_noise(house, settings):
    """Where both prompts are the same, AND, average, OR and one prompt alone draw the same pictures."""
    same = Settings(seeds=3, steps=2, model="local/tiny", pairs=(("cat", "cat"),))
    reader = RowReader(same, ColourJudge())
    found = {}
    for kind in ("first", "and", "average", "or"):
        made(kind, same)
        found[kind] = reader.pictures(table_runs.pair_runs(kind, same)[0]).astype(int)
    for kind in ("and", "average", "or"):
        assert np.abs(found[kind] - found["first"]).max() <= 1, kind
    assert reader.pairs("and").gap.max() < 1e-3
    different = [one.astype(int) for one in found["first"]]
    assert np.abs(different[0] - different[1]).max() > 3


def test_a_coin_flip_is_picked_from_the_prompts_alone(house):
    settings = Settings(seeds=8, steps=2, model="local/tiny", pairs=TWO_PAIRS[:1])
    made("coin_flip", settings)
    judge = ColourJudge()
    found = RowReader(settings, judge).pairs("coin_flip")
    network = load_text_to_image(find_model("local/tiny"))
    run = TableRun("first", ("a cat",), 0, 2)
    levels = table_runs._levels(settings, 2, network)
    *_, last = sample(
        [network.expert("a cat"), network.expert("a dog")],
        CoinFlip(),
        levels,
        batch=8,
        seed=run.seed,
        estimator="none",
        solver="ancestral",
        guidance=network.guidance(settings.guidance),
    )
    assert 0 < last.weights[0].sum() < 8
    expected = judge.scores(network.decode(last.denoised)).numpy()
    assert np.allclose(found.first[0], expected[:, 0], atol=5e-3) and np.allclose(
        found.second[0], expected[:, 1], atol=5e-3
    )


def test_a_double_exposure_is_the_mean_of_both_pictures(house):
    settings = Settings(seeds=3, steps=2, model="local/tiny", pairs=TWO_PAIRS)
    made("overlay", settings)
    judge = ColourJudge()
    reader = RowReader(settings, judge)
    found = reader.pairs("overlay")
    for index, pair in enumerate(TWO_PAIRS):
        one, other = (reader.pictures(table_runs.pair_runs(kind, settings)[index]) for kind in ("first", "second"))
        mean = np.floor(one / 2 + other / 2 + 0.5).astype(np.uint8)
        expected = judge.scores(mean).numpy()
        assert np.allclose(found.first[index], expected[:, NAMES.index(pair[0])])
        assert np.allclose(found.second[index], expected[:, NAMES.index(pair[1])])
    assert found.seconds == pytest.approx(reader.pairs("first").seconds + reader.pairs("second").seconds)


def test_scores_are_kept_and_read_by_hand(house, settings):
    made("average", settings)
    judge = ColourJudge()
    reader = RowReader(settings, judge)
    found = reader.pairs("average")
    for index, pair in enumerate(TWO_PAIRS):
        with np.load(table_runs.pair_runs("average", settings)[index].file(settings)) as stored:
            assert stored["pictures"].dtype == np.uint8 and len(stored["pictures"]) == 3
            means = stored["pictures"].mean((1, 2)) / 255
        columns = np.concatenate([means, means[:, :2] ** 2], 1)
        assert np.allclose(found.first[index], columns[:, NAMES.index(pair[0])])
        assert np.allclose(found.second[index], columns[:, NAMES.index(pair[1])])
    assert found.gap is None
    seen = judge.seen
    assert seen == 6
    reader.pairs("average")
    assert judge.seen == seen
    assert reader.gain("average", "average").value == 0


def test_a_run_of_the_exact_system_that_breaks_keeps_its_last_step(house, settings, monkeypatch):
    walk = table_runs._walk

    def breaking(run, settings, network):
        yield next(iter(walk(run, settings, network)))
        raise SuperDiffError("weights are no longer finite")

    monkeypatch.setattr(table_runs, "_walk", breaking)
    made("and_exact/2", settings)
    row = RowReader(settings, ColourJudge()).row("and_exact/2")
    assert row.values["finished"].value == 0 and "gap" not in row.values and row.samples == 6
    with pytest.raises(SuperDiffError, match="no longer finite"):
        made("and/3", settings)


# The command


def test_all_rows_of_both_tables_and_the_sheet(house, settings, monkeypatch):
    out, sheet = house / "tables" / "prompts.json", house / "images" / "sheet.png"
    monkeypatch.setattr(module, "SHEET", sheet)
    written = evaluate(replace(settings, sheet=True), [*module.ROWS, *module.STUDY], out)
    steps = out.with_name("prompts_steps.json")
    assert written == [out, steps, sheet]
    table = read_table(out)
    assert tuple(row.name for row in table.rows) == module.ROWS
    for row in table.rows:
        scores = {"lower", "difference", "maximum"}
        expected = {"single": scores | {"top1", "top5"}, "single_held_out": {"top1", "top5"}}.get(row.name, scores)
        assert set(row.values) == expected
        assert row.samples == (5 if row.name.startswith("single") else 6)
        if scores <= expected:
            lower, difference, maximum = (row.values[name].value for name in ("lower", "difference", "maximum"))
            assert maximum - lower == pytest.approx(difference)
    assert table.row("single").values["top5"].value == 1  # of five concepts
    assert table.seeds == [0, 1] and table.steps == 2 and "AND's lower score minus" in table.notes
    gain = table.row("and").values["lower"].value - table.row("average").values["lower"].value
    assert f"average {gain:+.2f}" in table.notes
    study = read_table(steps)
    assert [row.name for row in study.rows] == list(module.STUDY)
    assert study.row("and/2").values["lower"] == table.row("and").values["lower"]
    named = [word for word in study.command.split() if word in module.STUDY]  # else it would make the main table anew
    assert named == list(module.STUDY) and study.command.count("--row ") == len(named)
    assert "--row" not in table.command
    assert study.row("and/2").values["gap"].value >= 0 and "is the first within two standard errors" in study.notes
    with Image.open(sheet) as drawn:
        assert drawn.size == (190 + 7 * 96 + 5 * 6, 18 + 2 * 98)
    shown = markdown_table(table, module.LAYOUTS["prompts"])
    assert "| **AND** |" in shown and "24.79" in shown
    assert "prompts_steps" in module.LAYOUTS


def test_an_interrupted_evaluation_goes_on(house, settings, monkeypatch):
    rows, out = ["and", "average"], house / "t.json"
    make_run, done = table_runs.make_run, []

    def interrupted(run, given):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append((run.kind, run.seed))
        make_run(run, given)

    monkeypatch.setattr(table_runs, "make_run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        evaluate(settings, rows, out)
    assert done == [("and", 0), ("and", 1), ("average", 0)]
    assert [row.name for row in read_table(house / "t.json").rows] == ["and"]
    done.clear()
    evaluate(settings, rows, out)
    assert done == [("average", 1)]
    assert [row.name for row in read_table(house / "t.json").rows] == ["and", "average"]


def test_runs_depend_on_all_that_decides_them(house, settings):
    run = table_runs.pair_runs("and", settings)[0]
    single = table_runs.single_runs("single", settings, CONCEPTS)[0]
    for one in (run, single):
        files = {one.file(settings)}
        for change in ({"guidance": 2.0}, {"dtype": "bfloat16"}):
            files.add(one.file(Settings(**{**vars(settings), **change})))
        for change in ({"steps": 9}, {"seed": 5}, {"prompts": ("a cat", "a duck")}):
            files.add(TableRun(**{**vars(one), **change}).file(settings))
        assert len(files) == 6
    assert TableRun("and_exact", run.prompts, 0, 2).file(settings) != run.file(settings)
    digest = hashlib.sha256()
    folder = find_model("local/tiny")
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".safetensors", ".json", ".txt"):
            digest.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    assert run.file(settings).parent.name == f"prompts_{digest.hexdigest()[:16]}"


def test_what_is_wrong_is_said_in_one_sentence(house, settings, tmp_path):
    with pytest.raises(SuperDiffError, match=r"no row 'xor'; choose from single, "):
        evaluate(settings, ["xor"])
    with pytest.raises(SuperDiffError, match="not in 'float64'"):
        evaluate(table_runs.Settings(dtype="float64"), ["and"], tmp_path / "x.json")
    strange = Settings(model="local/tiny", pairs=(("cat", "griffin"),))
    with pytest.raises(SuperDiffError, match="does not know griffin"):
        evaluate(strange, ["and"], tmp_path / "x.json")
    with pytest.raises(ModelError, match="no pipeline folder called 'none'"):
        evaluate(Settings(model="local/none"), ["and"], tmp_path / "x.json")


def test_a_missing_scorer_is_one_sentence(pipelines, tmp_path, monkeypatch):
    monkeypatch.setenv("SUPERDIFF_MODELS", str(tmp_path))
    (tmp_path / "tiny").symlink_to(pipelines("sd_v"), target_is_directory=True)
    monkeypatch.setattr(scorer_module, "assets_folder", lambda: tmp_path)
    scorer_module.load_classifier.cache_clear()
    with pytest.raises(ModelError, match=r"concept scorer .* is missing"):
        evaluate(Settings(model="local/tiny"), ["and"], tmp_path / "x.json")
    scorer_module.load_classifier.cache_clear()


# CLIP


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A tiny CLIP model as transformers saves one."""
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, CLIPVisionConfig

    folder = tmp_path_factory.mktemp("clip") / "tiny-clip"
    torch.manual_seed(3)
    vision = CLIPVisionConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=32, patch_size=8
    )
    text = tiny.text_encoder(lambda config: config)
    model = CLIPModel(CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=8))
    model.save_pretrained(folder)
    processor = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    CLIPProcessor(processor, tiny.tokenizer()).save_pretrained(folder)
    return folder


def test_a_clip_model_scores_by_cosines(clip):
    """Against transformers' own logits, which are the cosines times the learned scale."""
    from transformers import CLIPModel, CLIPProcessor

    pictures = np.random.default_rng(1).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    judge = judges.ClipJudge(clip, CONCEPTS)
    found = judge.scores(pictures)
    model, processor = CLIPModel.from_pretrained(clip), CLIPProcessor.from_pretrained(clip)
    texts = ["a cat", "a dog", "a lemon", "an otter", "a duck"]
    inputs = processor(text=texts, images=list(pictures), padding=True, return_tensors="pt")
    with torch.no_grad():
        expected = 100 * model(**inputs).logits_per_image / model.logit_scale.exp()
    assert torch.allclose(found, expected.double(), atol=1e-3)
    assert found.std() > 0.1 and "not CLIP" not in judge.notes


def test_rows_can_be_scored_by_clip(house, settings, clip, monkeypatch):
    monkeypatch.chdir(house)
    (path,) = evaluate(replace(settings, clip=clip), ["and"])
    assert str(path) == "docs/tables/prompts_clip.json"
    table = read_table(path)
    assert table.command.endswith("--model local/tiny --clip tiny-clip")  # all concepts: no --samples
    assert "CLIP model tiny-clip" in table.notes
    assert -100 <= table.row("and").values["lower"].value <= 100


def test_the_command_says_how_many_concepts_were_drawn(house, settings):
    some = Settings(**{**vars(settings), "samples": 3, "style": "flat style"})
    (path,) = evaluate(some, ["single_held_out"], house / "t.json")
    table = read_table(path)
    assert table.command.endswith('--samples 3 --style "flat style"') and 'ends in ", flat style"' in table.notes
    assert table.row("single_held_out").samples == 3


def test_a_folder_that_is_not_clip_is_one_sentence(clip, tmp_path):
    with pytest.raises(ModelError, match=r"config\.json is missing"):
        judges.ClipJudge(tmp_path, CONCEPTS)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ModelError, match="of type 'bert', not CLIP"):
        judges.ClipJudge(tmp_path, CONCEPTS)
    (tmp_path / "config.json").write_text((clip / "config.json").read_text())
    with pytest.raises(ModelError, match="cannot load the CLIP model"):
        judges.ClipJudge(tmp_path, CONCEPTS)
