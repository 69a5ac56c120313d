"""The command line as a user types it: sampling, listing, and one sentence for what is wrong."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from superdiff_engine.cli.app import app, main
from superdiff_engine.domains import evaluation_of, evaluations, training_of, trainings
from superdiff_engine.domains.checked import load_recipe, make_recipe
from superdiff_engine.domains.pictures import train as garments
from superdiff_engine.errors import RecipeError, SuperDiffError
from superdiff_engine.runs.run import Run
from superdiff_engine.runs.stored import read_record
from superdiff_engine.system import interrupts
from superdiff_engine.tables.evaluation import Evaluation
from superdiff_engine.training.packs import read_pack, write_pack
from superdiff_engine.training.task import TrainingProgress

RECIPE = {
    "domain": "plane",
    "experts": [{"model": "rows_upper"}, {"model": "rows_lower"}],
    "levels": {"steps": 20},
    "batch": 16,
}


def superdiff(*arguments, **options):
    command = [sys.executable, "-m", "superdiff_engine.cli.app", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, **options)


def one_sentence(result):
    assert result.returncode == 1 and "Traceback" not in result.stderr, result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    return result.stderr


@pytest.fixture
def refused(monkeypatch, capsys):
    """What a command says that does not succeed, as `superdiff`, which begins a process for it."""

    def ask(*arguments):
        monkeypatch.setattr(sys, "argv", ["superdiff", *map(str, arguments)])
        capsys.readouterr()
        with monkeypatch.context() as patch, pytest.raises(SystemExit) as ended:
            for name in ("catch_signals", "ignore_signals"):  # those of this process are pytest's
                patch.setattr(interrupts, name, lambda: None)
            main()
        said = capsys.readouterr()
        return one_sentence(subprocess.CompletedProcess(arguments, ended.value.code, said.out, said.err))

    return ask


def test_sample_writes_the_record(tmp_path):
    (tmp_path / "recipe.json").write_text(json.dumps(RECIPE))
    result = superdiff("sample", tmp_path / "recipe.json", "--out", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    assert "Finished: 16 samples" in result.stdout and "nats" in result.stdout
    assert json.loads((tmp_path / "out" / "status.json").read_text())["state"] == "done"


def test_sample_says_what_corrected_samples_count_for(tmp_path):
    operator = {"name": "formula", "text": "1 and not 2"}
    recipe = RECIPE | {"operator": operator, "correction": {"particles": 8, "threshold": 1}}
    (tmp_path / "recipe.json").write_text(json.dumps(recipe))
    found = CliRunner().invoke(app, ["sample", str(tmp_path / "recipe.json"), "--out", str(tmp_path / "out")])
    assert found.exit_code == 0, found.output
    said = " ".join(found.output.split())
    marks = read_record(tmp_path / "out").trace.marks
    assert marks and f"of 8 particles a group, resampled {len(marks)} times on the way" in said
    with np.load(tmp_path / "out" / "samples.npz") as kept:
        mean = kept["log_density"][0] @ kept["importance"]
    assert f"mean log-density {mean:.2f} nats" in said


def test_densities_checks_a_runs_record(tmp_path):
    """In a table with units, and a sentence each for what is no record and for steps that do not fit."""
    recipe = make_recipe(RECIPE | {"levels": {"steps": 100}})
    Run(recipe, tmp_path / "run", previews=False).execute()
    found = CliRunner().invoke(app, ["densities", str(tmp_path / "run"), "--paths", "2"])
    assert found.exit_code == 0, found.output
    for word in ("16 samples at level 0.02", "1 Upper row", "1 - 2", "bias, nats", "known to ±"):
        assert word in found.output
    for folder, steps, word in ((tmp_path, "8", "no record"), (tmp_path / "run", "6", "multiple of 4")):
        found = CliRunner().invoke(app, ["densities", str(folder), "--steps", steps])
        assert isinstance(found.exception, SuperDiffError) and word in str(found.exception)


def test_models_lists_every_domain():
    result = superdiff("models", env=os.environ | {"COLUMNS": "200"})
    assert result.returncode == 0
    for name in ("overlap_a", "ring", "garments_a", "garments_b", "garments_ab"):
        assert name in result.stdout


def test_everything_that_can_be_trained_is_offered():
    """The names that a domain's folder says without importing its training are those that the training knows."""
    for domain in set(trainings().values()):
        named = [model for model, owner in trainings().items() if owner == domain]
        training = import_module(f"superdiff_engine.domains.{domain}.train")
        assert list(training.TRAININGS) == named
        assert [training_of(name) for name in named] == list(training.TRAININGS.values())


def test_interrupting_keeps_what_there_is(tmp_path):
    (tmp_path / "recipe.json").write_text(json.dumps(RECIPE | {"levels": {"steps": 10_000}, "batch": 4096}))
    command = [sys.executable, "-m", "superdiff_engine.cli.app", "sample", str(tmp_path / "recipe.json")]
    process = subprocess.Popen([*command, "--out", str(tmp_path / "out")], stdout=subprocess.PIPE, text=True)
    while not (tmp_path / "out" / "recipe.json").exists() and process.poll() is None:
        time.sleep(0.1)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 130 and "Cancelled" in output
    assert json.loads((tmp_path / "out" / "status.json").read_text())["state"] == "cancelled"


@pytest.mark.parametrize(
    ("text", "word"),
    [("{", "not valid JSON"), (json.dumps(RECIPE | {"color": 1}), "'color'"), (None, "could not be read")],
)
def test_a_bad_recipe_is_one_sentence(tmp_path, refused, text, word):
    if text is not None:
        (tmp_path / "recipe.json").write_text(text)
    assert word in refused("sample", tmp_path / "recipe.json", "--out", tmp_path / "out")


def test_an_output_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "recipe.json").write_text(json.dumps(RECIPE))
    (tmp_path / "file").write_text("")
    assert "cannot be written" in one_sentence(
        superdiff("sample", tmp_path / "recipe.json", "--out", tmp_path / "file" / "out")
    )


def test_a_port_in_use_is_one_sentence(refused):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        sentence = refused("studio", "--port", port, "--no-browser")
    assert str(port) in sentence and "--port" in sentence


def test_a_training_that_writes_to_a_log_says_a_line_a_minute(monkeypatch):
    def brief(training, options, report):
        assert training.name == "garments_a" and options.minutes == 2 and options.data is None
        assert options.out == Path("there") and options.device == "cpu" and options.batch == 3
        for step, spent in enumerate((0.1, 0.5, 1.2, 0.3)):  # the last is a second stage's
            report(TrainingProgress(step, spent, 0.5, pace=1234.5))
        return Path("nowhere")

    monkeypatch.setattr(garments.GarmentTraining, "train", brief)
    said = CliRunner().invoke(app, ["train", "garments_a", "--minutes", "2", "--out", "there", "--batch", "3"]).output
    assert "0.1 of 2 minutes, garments_a: step 0, loss 0.5000, 1,234 samples/s" in said and "1.2 of 2 minutes" in said
    assert "0.5 of 2 minutes" not in said and "0.3 of 2 minutes" in said


def test_training_without_data_says_how_to_get_them(tmp_path, refused):
    sentence = refused("train", "garments_a", "--data", tmp_path, "--minutes", "0.01")
    assert "dataset-fashion-mnist" in sentence


def trained(*arguments):
    """What a training says that cannot begin."""
    result = CliRunner().invoke(app, ["train", *map(str, arguments)])
    assert isinstance(result.exception, SuperDiffError), result.exception
    assert str(result.exception).count("\n") == 0
    return str(result.exception)


def test_trainings_that_cannot_begin_say_why_in_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "no cuda device" in trained("garments_a", "--device", "cuda")
    assert "choose auto, cpu or cuda" in trained("garments_a", "--device", "tpu")
    assert "leave --crops out for 'garments_a'" in trained("garments_a", "--crops")
    for name in ("garments_a", "garment_classifier", "emoji_scorer"):
        assert f"The training of '{name}' is short and begins anew" in trained(name, "--refine")
    assert "no model 'dogs' to train; there are garments_a, garments_b" in trained("dogs")
    assert "nothing at" in trained("garments_a", "--data", tmp_path / "nowhere")
    other = write_pack(tmp_path / "other.pack", "molecules", {"atoms": np.arange(3000)})
    for name in ("garments_a", "emoji", "emoji_vae", "emoji_scorer", "proteins"):
        assert "holds the data of 'molecules'" in trained(name, "--data", other)
    cut = tmp_path / "cut.pack"
    for size in (0, 100, other.stat().st_size - 50):
        cut.write_bytes(other.read_bytes()[:size])
        assert "cut off" in trained("molecules", "--data", cut)


def test_a_pack_is_written_instead_of_a_training(tmp_path, monkeypatch):
    monkeypatch.setattr(garments.GarmentTraining, "train", None)
    monkeypatch.setattr(
        garments, "write_garments", lambda path, data: write_pack(path, "garments", {"pictures": np.ones(9)})
    )
    path = tmp_path / "new" / "garments.pack"
    said = CliRunner().invoke(app, ["train", "garments_b", "--pack", str(path)]).output
    assert "--data" in said and read_pack(path, "garments")["pictures"].sum() == 9


@pytest.fixture
def asked(monkeypatch):
    """What evaluations are asked for, in the place of making tables: settings, rows, path."""
    seen = []
    monkeypatch.setattr(
        Evaluation, "run", lambda self, settings, row, out, say, ray=None: seen.append((settings, row, out)) or []
    )
    return seen


@pytest.mark.parametrize("domain", ["plane", "pictures", "prompts", "molecules", "smiles", "proteins"])
def test_an_evaluation_without_options_has_the_settings_of_its_domain(domain, asked):
    settings = evaluation_of(domain).settings
    CliRunner().invoke(app, ["evaluate", domain])
    CliRunner().invoke(
        app, ["evaluate", "--steps", "7", domain, "--seed", "3", "--row", "a", "--row", "b", "--out", "t"]
    )
    assert asked == [(settings(), None, None), (settings(steps=7, seed=3), ["a", "b"], Path("t"))]


#: Every option that domains have, as it is typed and as their settings hold it.
OPTIONS = {
    "plane": {"samples": 4, "seeds": 3},
    "pictures": {"samples": 4, "batch": 2},
    "molecules": {"samples": 4, "batch": 2, "guidance": 1.5},
    "smiles": {"samples": 4, "batch": 2, "oracles": Path("oracles"), "guidance": 1.5},
    "proteins": {"samples": 4, "batch": 2, "noise_scale": 0.5, "folding": "fold {fasta} {out}", "sheet": True},
    "prompts": {
        "samples": 4, "seeds": 3, "guidance": 0.0, "clip": Path("clip"), "model": "local/mine", "style": "flat",
        "dtype": "float32", "sheet": True,
    },
}  # fmt: skip


@pytest.mark.parametrize("domain", OPTIONS)
def test_the_options_of_a_domain_are_its_own(domain, asked):
    typed = [
        "--sheet" if value is True else f"--{name.replace('_', '-')}={value}" for name, value in OPTIONS[domain].items()
    ]
    result = CliRunner().invoke(app, ["evaluate", domain, *typed])
    assert asked == [(evaluation_of(domain).settings(**OPTIONS[domain]), None, None)], result.output
    asked.clear()
    shown = CliRunner().invoke(app, ["evaluate", domain, "--help"]).output
    for name in {name for options in OPTIONS.values() for name in options}:
        option = f"--{name.replace('_', '-')}"
        assert (f"{option} " in shown) == (name in OPTIONS[domain]), option
        if name not in OPTIONS[domain]:
            refused = CliRunner().invoke(app, ["evaluate", domain, option, "1"]).exception
            assert isinstance(refused, SuperDiffError) and f"{option} is an option of" in str(refused)
    assert CliRunner().invoke(app, ["evaluate", domain, "--samples", "1"]).exit_code == 2
    assert CliRunner().invoke(app, ["evaluate", domain, "--sampels", "4"]).exit_code == 2
    assert not asked


def test_models_are_named_to_those_that_take_some():
    refused = CliRunner().invoke(app, ["evaluate", "molecules", "--models", "local/ldmol"]).exception
    assert isinstance(refused, SuperDiffError) and "superdiff evaluate smiles" in str(refused)
    assert "'molecules' has the embedded models" in str(refused)


def test_help_imports_nothing_large():
    code = "import sys; from superdiff_engine.cli.app import app; app({words}, standalone_mode=False); "
    code += "sys.exit('torch' in sys.modules)"
    for words, names in {
        ("evaluate", "--help"): evaluations(),
        ("train", "--help"): ("garments_a", "proteins_beta"),
    }.items():
        command = [sys.executable, "-c", code.format(words=list(words))]
        result = subprocess.run(command, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        assert all(name in result.stdout for name in names)


@pytest.mark.skipif(os.name != "posix", reason="elsewhere the studio is a child process")
def test_the_command_that_opens_the_studio_imports_nothing_large():
    code = "import os, sys; os.execve = lambda *_: os._exit('torch' in sys.modules); "
    code += "from superdiff_engine.cli.app import app; app({words}, standalone_mode=False)"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        words = ["studio", "--no-browser", "--port", str(probe.getsockname()[1])]
    result = subprocess.run([sys.executable, "-c", code.format(words=words)], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_unknown_names_are_one_sentence(refused):
    assert "garments_a" in refused("train", "nonesuch")
    assert "pictures" in refused("evaluate", "nonesuch")


@pytest.mark.skipif(os.name != "posix", reason="elsewhere the studio is a child process")
def test_the_studio_finds_folders_that_were_named_from_where_it_was_started(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SUPERDIFF_MODELS", os.pathsep.join(["mine", "", "/elsewhere"]))
    monkeypatch.setenv("SUPERDIFF_LIBRARY", "runs")
    seen = {}
    monkeypatch.setattr(os, "execve", lambda program, command, environment: seen.update(environment))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setattr(subprocess, "call", lambda *arguments, **options: 0)  # never reached where execve replaces us
    CliRunner().invoke(app, ["studio", "--port", str(port), "--no-browser"])
    assert Path.cwd() != tmp_path
    assert seen["SUPERDIFF_MODELS"].split(os.pathsep) == [str(tmp_path / "mine"), "/elsewhere"]
    assert seen["SUPERDIFF_LIBRARY"] == str(tmp_path / "runs")


def test_a_first_start_of_the_studio_asks_nothing_and_leaves_nothing_behind(tmp_path):
    """On a fresh machine, with a window to open: the page is served without a question; stopping it frees the port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (tmp_path / ".claude").mkdir()  # Streamlit offers advice to whoever has a coding agent
    environment = os.environ | {"HOME": str(tmp_path), "BROWSER": "true", "SUPERDIFF_LIBRARY": str(tmp_path / "runs")}
    command = [sys.executable, "-m", "superdiff_engine.cli.app", "studio", "--port", str(port)]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    server = subprocess.Popen(command, env=environment, text=True, **pipes)
    try:
        for _ in range(600):
            assert server.poll() is None, server.stdout.read()
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=5).close()
                break
            except OSError:
                time.sleep(0.1)
        else:
            pytest.fail("the page was not served within a minute")
    finally:
        server.terminate()
        output, _ = server.communicate(timeout=60)
    assert "mail" not in output and "skills" not in output
    assert f"http://127.0.0.1:{port}" in output
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))


@pytest.mark.skipif(os.name != "posix", reason="there are no such files elsewhere")
def test_what_is_no_recipe_is_one_sentence_and_ends(tmp_path, refused):
    """Devices, folders, pipes and files without an end are read no further than a recipe may be long."""
    os.mkfifo(tmp_path / "silent")
    with open(tmp_path / "huge.json", "wb") as file:
        file.truncate(1 << 40)
    for path, words in {
        "/dev/zero": "is a device",
        "/dev/null": "is a device",
        tmp_path: "is a folder",
        tmp_path / "silent": "not valid JSON",
        tmp_path / "huge.json": "larger than 64 KiB",
        tmp_path / "missing.json": "No such file",
    }.items():
        with pytest.raises(RecipeError, match=words):
            load_recipe(Path(path))
    assert "is a device" in refused("sample", "/dev/zero", "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(not Path("/dev/stdin").exists(), reason="there is no such file elsewhere")
def test_a_recipe_may_come_through_a_pipe(tmp_path):
    lines = ["from superdiff_engine.recipe import load_recipe", "from pathlib import Path"]
    lines += ["try: print(load_recipe(Path('/dev/stdin')).batch)", "except Exception as error: print(error)"]
    command = [sys.executable, "-c", "\n".join(lines)]

    def piped(content):
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            time.sleep(0.1)
            with suppress(BrokenPipeError):
                process.stdin.write(content)
                process.stdin.close()
            process.stdin = None
            return process.communicate(timeout=60)[0]

    assert piped(json.dumps(RECIPE)).strip() == "16"
    assert "larger than 64 KiB" in piped(" " * 1_000_000)
