"""What the README shows runs as written, and its pictures and tables are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text()


def test_the_twenty_lines_run_as_written():
    names = {}
    exec(re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)[0], names)
    step = names["step"]
    assert step.samples.shape == (1024, 2) and step.log_density.shape == step.weights.shape == (2, 1024)
    assert step.index == 100 and step.level == pytest.approx(0.02)


def test_its_pictures_are_there():
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", TEXT)
    assert pictures and all((ROOT / picture).is_file() for picture in pictures)


def test_its_commands_are_in_the_makefile():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"make (\w+)", TEXT[: TEXT.index("## ")]):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_tables_are_what_the_command_wrote(tmp_path):
    """The figures in the README are those of docs/tables, to the digit."""
    from superdiff_engine.domains import domains
    from superdiff_engine.tables.table import update_readme

    copy = tmp_path / "README.md"
    copy.write_text(TEXT)
    layouts = {name: layout for domain in domains().values() for name, layout in domain.tables().items()}
    assert not update_readme(copy, layouts, ROOT / "docs" / "tables")
