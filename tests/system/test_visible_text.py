"""Text of users, files and models in the terminal: as typed, and nothing that a terminal would obey."""

import io
import json
import logging
import unicodedata

import pytest
from nasty import CONTROLS, NASTY, SHORT, WRITTEN
from typer.testing import CliRunner

from superdiff_engine.cli import app as cli
from superdiff_engine.cli import models
from superdiff_engine.domains import get_domain
from superdiff_engine.domains.checked import make_recipe
from superdiff_engine.errors import RecipeError
from superdiff_engine.runs.run import Run
from superdiff_engine.system import terminal
from superdiff_engine.system.visible_text import visible


def obeyed(text):
    """The characters of a text, ends of lines apart, that Unicode counts as controls, formats or separators."""
    return {letter for letter in text if letter != "\n" and unicodedata.category(letter) in ("Cc", "Cf", "Zl", "Zp")}


def test_every_control_character_is_written_out():
    assert visible(CONTROLS) == WRITTEN
    everything = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x110000)]))
    assert obeyed(visible(everything, keep="")) == set()
    assert visible("Übung in 日本語, Größe 🙂") == "Übung in 日本語, Größe 🙂"
    assert visible("\ud800").encode() == b"\\ud800"  # half a character, as names of files may hold


@pytest.mark.parametrize("kind", ["line", "table"])
def test_the_terminal_shows_text_as_typed(kind):
    from rich.table import Table

    file = io.StringIO()
    console = terminal.Terminal(file=file, width=400, force_terminal=False)
    if kind == "line":
        console.print(f"superdiff: {NASTY} {CONTROLS}")
    else:
        table = Table("id", "title")
        table.add_row("x", f"{NASTY} {CONTROLS}")
        console.print(table)
    assert f"{NASTY} {WRITTEN}" in file.getvalue()
    assert obeyed(file.getvalue()) == set()


def local_model(folder, title):
    """A folder that is listed as a pictures model, and read no further."""
    (folder / "mine" / "unet").mkdir(parents=True)
    (folder / "mine" / "model_index.json").write_text(json.dumps({"_class_name": "DDPMPipeline"}))
    (folder / "mine" / "superdiff.json").write_text(json.dumps({"title": title}))


@pytest.mark.parametrize("title", [SHORT, CONTROLS])
def test_the_list_of_models_shows_titles_as_typed(tmp_path, monkeypatch, title):
    local_model(tmp_path, title)
    monkeypatch.setenv("SUPERDIFF_MODELS", str(tmp_path))
    monkeypatch.setattr(models, "console", terminal.Terminal(width=500))
    result = CliRunner().invoke(cli.app, ["models"])
    assert result.exit_code == 0 and visible(title) in result.stdout
    assert obeyed(result.stdout) == set()


@pytest.mark.parametrize(
    "arguments", [["models", CONTROLS], ["models", f"--{CONTROLS}"], [CONTROLS], ["sample", CONTROLS]]
)
def test_what_was_typed_wrongly_is_repeated_without_controls(arguments, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    result = CliRunner().invoke(cli.app, arguments)
    assert result.exit_code != 0 and obeyed(result.output) == set()


def test_an_error_reaches_the_terminal_and_the_log_without_controls(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr("sys.argv", ["superdiff", "sample", f"{CONTROLS}.json", "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit):
        cli.main()
    error = capsys.readouterr().err
    assert WRITTEN in error.replace("\n", "") and obeyed(error) == set()
    log = logging.getLogger("superdiff.studio")
    (handler,) = [
        one for one in logging.getLogger("superdiff").handlers if type(one.formatter).__module__.endswith("visible_log")
    ]
    monkeypatch.setattr(handler, "stream", io.StringIO())
    try:
        raise ValueError(CONTROLS)
    except ValueError:
        log.exception("unexpected error in %s", CONTROLS)
    assert handler.stream.getvalue().count(WRITTEN) == 2 and obeyed(handler.stream.getvalue()) == set()


def test_the_log_of_a_run_can_be_read_in_a_terminal(tmp_path, monkeypatch):
    plane = get_domain("plane")
    monkeypatch.setattr(plane, "notes", lambda experts: [f"{NASTY} {CONTROLS}"])
    Run(
        make_recipe({"domain": "plane", "experts": [{"model": "ring"}], "levels": {"steps": 2}, "batch": 2}),
        tmp_path / "run",
    ).execute()
    text = (tmp_path / "run" / "run.log").read_text()
    assert f"{NASTY} {WRITTEN}" in text and obeyed(text) == set()


@pytest.mark.parametrize("letter", ["\x00", "\x1b", "\x7f", "\x85", "\x9b"])
def test_prompts_have_no_control_characters(letter):
    document = {"domain": "prompts", "experts": [{"model": "hub/a/b", "prompt": f"a{letter}b"}]}
    with pytest.raises(RecipeError, match="prompt"):
        make_recipe(document)
