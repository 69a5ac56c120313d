"""What the README and the pages of docs show runs as written; their links, pictures and figures are there."""

import re
from pathlib import Path

import pytest

from superdiff_engine import Or, karras_levels, sample
from superdiff_engine.domains import layouts

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SOLVERS = ROOT / "docs" / "benchmarks_solvers.md"


def python_blocks(text):
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def prose(text):
    """The text without blocks and lines of code, in which nothing is a link."""
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    text = re.sub(r"^    .*$", "", text, flags=re.MULTILINE)
    return re.sub(r"`[^`\n]*`", "", text)


def links(text):
    """What a page points to: links, pictures, and both in HTML."""
    text = prose(text)
    return [*re.findall(r"\]\(([^)\s]+)\)", text), *re.findall(r'(?:href|src)="([^"]+)"', text)]


def anchors(text):
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_twenty_lines_run_as_written():
    names = {}
    exec(python_blocks(TEXT)[0], names)
    step = names["step"]
    assert step.samples.shape == (1024, 2) and step.log_density.shape == step.weights.shape == (2, 1024)
    assert step.index == 100 and step.level == pytest.approx(0.02)


def test_networks_of_your_own_are_experts_as_written():
    block = next(text for text in python_blocks((ROOT / "docs" / "models.md").read_text()) if "NetworkScore" in text)
    names = {"network": lambda x, time: 0 * x, "flow_network": lambda x, time: 0 * x}
    exec(block, names)
    for step in sample([names["expert"], names["other"]], Or(), karras_levels(2, 10.0, 0.1), batch=1):
        pass
    assert step.samples.shape == (1, 3, 32, 32) and step.samples.isfinite().all()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_its_python_imports_is_there(page):
    for block in python_blocks(page.read_text()):
        exec("\n".join(re.findall(r"^(?:from|import) .+$", block, re.MULTILINE)), {})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_its_links_and_anchors_lead_somewhere(page):
    for link in links(page.read_text()):
        if re.match(r"https?:|doi:|mailto:", link):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text()), link


def test_its_pictures_are_there_and_every_picture_is_shown():
    assert re.findall(r"!\[[^\]]+\]\(([^)]+)\)", TEXT)
    shown = {(page.parent / link).resolve() for page in PAGES for link in links(page.read_text()) if "images/" in link}
    assert {path.resolve() for path in (ROOT / "docs" / "images").iterdir()} == shown


def test_its_commands_are_in_the_makefile():
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"make (\w+)", TEXT[: TEXT.index("## ")])
    assert {"studio", "test"} <= set(targets)
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_recipes_of_its_pictures_are_recipes():
    from superdiff_engine.recipe import load_recipe

    pages = "".join(page.read_text() for page in PAGES)
    recipes = sorted((ROOT / "docs" / "recipes").iterdir())
    assert {f"docs/recipes/{path.name}" for path in recipes} == set(re.findall(r"docs/recipes/\w+\.json", pages))
    for path in recipes:
        assert load_recipe(path).to_json().split() == path.read_text().split()


def test_the_tables_are_what_the_command_wrote(tmp_path):
    """The figures in docs/results.md are those of docs/tables, to the digit, and all tables are there."""
    from superdiff_engine.tables.markdown import update_readme

    copy = tmp_path / "results.md"
    copy.write_text((ROOT / "docs" / "results.md").read_text())
    assert not update_readme(copy, layouts(), ROOT / "docs" / "tables")
    known = {
        name for name, layout in layouts().items() if (ROOT / f"docs/tables/{layout.source or name}.json").exists()
    }
    assert set(re.findall(r"<!-- table:(\w+) -->", copy.read_text())) == known


#: The figures of the README's table of domains: table, row, column.
HEADLINES = {
    "pictures": [
        ("pictures", "or/sde", "fashion_fid"),
        ("pictures", "coin_flip/sde", "fashion_fid"),
        ("pictures", "a/sde", "fashion_fid"),
        ("pictures", "b/sde", "fashion_fid"),
    ],
    "prompts": [("prompts", "and", "lower"), ("prompts", "joint", "lower"), ("prompts", "average", "lower")],
    "molecules": [
        ("molecules", "networks/or", "ringed"),
        ("molecules", "networks/rings", "ringed"),
        ("molecules", "networks/chains", "ringed"),
    ],
    "proteins": [
        ("proteins", "and", "both_kinds"),
        ("proteins", "average", "both_kinds"),
        ("proteins", "alpha", "both_kinds"),
        ("proteins", "beta", "both_kinds"),
    ],
}


def figures(text):
    """All "value ± error" of a text, in its order."""
    return re.findall(r"-?[\d.]+%? ± [\d.]+%?", text)


@pytest.mark.parametrize("domain", HEADLINES)
def test_its_headlines_are_what_the_commands_measured(domain):
    from superdiff_engine.tables.table import read_table

    line = re.search(rf"^\| \[{domain}\].*$", TEXT, re.MULTILINE)[0]
    expected, samples = [], set()
    for name, row, key in HEADLINES[domain]:
        layout = layouts()[name]
        table = read_table(ROOT / "docs" / "tables" / f"{layout.source or name}.json")
        column = next(column for column in layout.columns if column.key == key)
        expected.append(column.text(table.row(row).values[key]))
        samples.add(f"{table.row(row).samples:,}")
        assert table.command.startswith(re.search(r"`([^`]+)`", line)[1])
    assert figures(line) == expected
    assert set(line.split(" | ")[3].split("; ")) == samples


def test_its_headline_of_the_plane_is_what_the_benchmark_measured():
    measured = SOLVERS.read_text()
    line = re.search(r"^\| \[plane\].*$", TEXT, re.MULTILINE)[0]
    row = re.search(r"^\| 2 \| 100 \| ancestral \| ([^|]+) \|", measured, re.MULTILINE)[1]
    exact = re.search(r"as many exact samples show ([\d.]+ ± [\d.]+) in the plane", measured)[1]
    assert figures(line) == [row, exact]
    assert "2048 samples" in measured and "over 5 seeds" in measured and "| 5 x 2,048 |" in line


#: Names with a dot in docs/architecture.md that are not of this code.
ELSEWHERE = re.compile(r"python -m .*|server\.allowedHosts|[\w.]+\.(json|parquet|npz|png|log|lock|sqlite3)")


def sources():
    return [
        path for room in ("superdiff_engine", "studio", "tests", "benchmarks") for path in (ROOT / room).rglob("*.py")
    ]


def is_defined(dotted):
    """Whether "module.name" or "Class.name" (also with folders before it) is somewhere in the code."""
    *_, owner, name = dotted.split("/")[-1].split(".")
    owning = re.compile(rf"^class {owner}\b", re.MULTILINE)
    defining = re.compile(rf"^\s*(?:def |class |self\.)?{name}\b[^\n]*[:=(]", re.MULTILINE)
    texts = ((path.stem, path.read_text()) for path in sources())
    return any((stem == owner or owning.search(text)) and defining.search(text) for stem, text in texts)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_code_that_it_names_is_there(page):
    text = page.read_text()
    paths = [path.as_posix() for path in sources()]
    for name in re.findall(r"[\w/]+\.py\b", text):
        pattern = "/" + re.escape(name).replace("NAME", r"\w+") + "$"
        assert any(re.search(pattern, path) for path in paths), name
    if page.name == "architecture.md":
        for name in re.findall(r"`([\w/]+(?:\.\w+)+)`", text):
            assert ELSEWHERE.fullmatch(name) or name.endswith(".py") or is_defined(name), name
        for room in re.findall(r"^ +(\w+)/  ", text, re.MULTILINE):
            assert any(f"/{room}/" in path for path in paths) or (ROOT / room).is_dir(), room
