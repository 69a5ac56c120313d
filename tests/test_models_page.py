"""docs/models.md: its commands are ones that the command line takes, its recipes are recipes."""

import json
import re
import shlex
from pathlib import Path

import pytest
import typer

from superdiff_engine.cli import app as cli
from superdiff_engine.domains import conversions
from superdiff_engine.domains.checked import recorded_recipe

PAGE = (Path(__file__).parents[1] / "docs" / "models.md").read_text()


def commands():
    """The words after `superdiff` of each command, settings of the environment before it left out."""
    blocks = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    found = [re.fullmatch(r"(?:\w+=\S+ )*superdiff (.+)", line.partition(" #")[0].strip()) for line in lines]
    return [shlex.split(one[1]) for one in found if one]


@pytest.mark.parametrize("words", commands(), ids=lambda words: "-".join(words[:2]))
def test_each_command_parses(words):
    group = typer.main.get_command(cli.app)
    with group.make_context("superdiff", list(words)) as outer:
        name, command, rest = group.resolve_command(outer, list(words))
        with command.make_context(name, rest, parent=outer) as inner:
            assert inner.command.name == name


def test_it_says_how_every_model_is_converted():
    assert {words[1] for words in commands() if words[0] == "convert"} == set(conversions())
    assert {words[0] for words in commands()} >= {"convert", "models", "sample"}


@pytest.mark.parametrize("text", re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL))
def test_its_recipes_are_recipes(text):
    recipe = recorded_recipe(text)
    assert recipe.domain == json.loads(text)["domain"]
