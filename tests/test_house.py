"""The order of the house: imports run one way and in no circle, and nobody asks for the name of a part.

Every import counts, also those in functions and those for types only. docs/architecture.md draws the order.
"""

import ast
from functools import cache
from pathlib import Path

import pytest

from superdiff_engine.density import ESTIMATORS
from superdiff_engine.domains import domains
from superdiff_engine.recipes.operators import OPERATORS
from superdiff_engine.solvers import SOLVERS

ROOT = Path(__file__).parent.parent
MATHEMATICS = (
    "noise", "geometry", "rotations", "score", "density", "formula", "compose", "correction", "solvers", "arguments",
    "corrected", "sampling", "likelihood", "transfers", "underway",
)  # fmt: skip
#: From the ground up: a module imports from its own floor and from those below, never from one above.
FLOORS = [
    [*(f"superdiff_engine.{name}" for name in MATHEMATICS), "superdiff_engine.errors"],
    ["superdiff_engine.arrays", "superdiff_engine.trace", "superdiff_engine.measured"],
    ["superdiff_engine.system"],
    ["superdiff_engine.recipes"],
    ["superdiff_engine.domain", "superdiff_engine.play", "superdiff_engine.result", "superdiff_engine.walk"],
    ["superdiff_engine.tables", "superdiff_engine.training"],
    ["superdiff_engine.domains"],
    ["superdiff_engine.runs"],
    ["superdiff_engine.figures"],
    ["superdiff_engine.film", "superdiff_engine.web"],
    ["superdiff_engine.library"],
    ["superdiff_engine.lessons"],
    [
        "studio.guard",
        "studio.part",
        "studio.kept",
        "studio.job",
        "studio.jobs",
        "studio.looked",
        "studio.films",
        "studio.titles",
        "studio.turning",
        "studio.unbroken",
        "studio.words",
        "studio.style",
        "studio.charts",
    ],
    ["studio.form"],
    [
        "studio.session",
        "studio.tab",
        "studio.page",
        "studio.shelf.asked",
        "studio.teach.doing",
        "studio.playground.kept",
    ],
    ["studio.stage", "studio.views", "studio.shelf", "studio.playground"],
    ["superdiff_engine.cli", "studio"],
    # Doors that the README's examples come in by; nobody inside uses them.
    ["superdiff_engine.recipe", "superdiff_engine.scoring", "superdiff_engine"],
]
#: Figures that one view alone draws, of what its domain computes.
DRAWING = {f"studio.charts.{name}" for name in ("backbones", "finished", "live", "panels", "plane")}
#: Who may look whether something has an attribute: nobody who means a part of this house.
LOOKING = {
    "superdiff_engine/__init__.py": "finds the module of a name that is asked for",
    "superdiff_engine/sampling.py": "experts of the user's own, who need no more than a score and a space",
    "superdiff_engine/system/files.py": "flags that Windows lacks",
    "superdiff_engine/system/interrupts.py": "signals that Windows lacks, and a package that may not be imported yet",
    "superdiff_engine/system/terminal.py": "errors of typer's, whose classes differ by version",
    "superdiff_engine/system/workers.py": "signals that Windows lacks",
    "superdiff_engine/domains/weights.py": "classes and configurations of diffusers and transformers",
    "superdiff_engine/domains/prompts/encoding.py": "parts of diffusers' pipelines, which differ by family",
    "superdiff_engine/domains/prompts/loading.py": "parts of diffusers' pipelines, which differ by family",
    "studio/ending.py": "signals that Windows lacks",
}


@cache
def sources():
    """(path, syntax tree) of every module of the engine and the studio, by its dotted name."""
    found = {}
    for package in ("superdiff_engine", "studio"):
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found[name] = path.relative_to(ROOT).as_posix(), ast.parse(path.read_text())
    return found


def imported(module):
    """The dotted names that a module imports, each with the module of this house that it is or lies in."""
    path, tree = sources()[module]
    package = module.split(".") if path.endswith("__init__.py") else module.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [(alias.name, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = [*package[: len(package) - node.level + 1], *filter(None, [node.module])]
            home = ".".join(start) if node.level else node.module
            names = [(f"{home}.{alias.name}", home) for alias in node.names]
        else:
            continue
        for name, home in names:
            yield name, name if name in sources() else home


@cache
def imports():
    """The modules of this house that each of them imports."""
    return {
        module: {home for _, home in imported(module) if home in sources() and home != module} for module in sources()
    }


def floor_of(module):
    """The number of its floor: the longest name that the module has, or lies in, decides."""
    homes = [
        (len(name), number)
        for number, floor in enumerate(FLOORS)
        for name in floor
        if module == name or (module.startswith(f"{name}.") and name != "superdiff_engine")
    ]
    assert homes, f"{module} stands on no floor of this test"
    return max(homes)[1]


def circles():
    """The groups of modules that import each other, directly or through others (Tarjan 1972)."""
    order, low, stack, found = {}, {}, [], []

    def visit(module):
        order[module] = low[module] = len(order)
        stack.append(module)
        for other in imports()[module]:
            if other not in order:
                visit(other)
                low[module] = min(low[module], low[other])
            elif other in stack:
                low[module] = min(low[module], order[other])
        if low[module] == order[module]:
            group = stack[stack.index(module) :]
            del stack[stack.index(module) :]
            if len(group) > 1:
                found.append(sorted(group))

    for module in imports():
        if module not in order:
            visit(module)
    return found


def test_every_import_of_the_house_is_there():
    for module in sources():
        for name, home in imported(module):
            assert name.split(".")[0] not in ("superdiff_engine", "studio") or home in sources(), (module, name)


def test_no_circle():
    assert circles() == []


def test_imports_run_down():
    found = {
        f"{module} imports {other}"
        for module, others in imports().items()
        for other in others
        if floor_of(other) > floor_of(module)
    }
    assert sorted(found) == []


def test_the_engine_knows_neither_streamlit_nor_the_studio():
    """But for the command that starts it."""
    for module, (path, _) in sources().items():
        if path.startswith("superdiff_engine") and not path.startswith("superdiff_engine/cli/"):
            assert not [name for name, _ in imported(module) if name.split(".")[0] in ("streamlit", "studio")], path


def knows(module, name):
    """What a module imports from the folder of the domain `name`."""
    inside = f"superdiff_engine.domains.{name}"
    return [other for other in imports()[module] if other == inside or other.startswith(f"{inside}.")]


def test_only_a_domain_and_its_view_know_its_folder():
    for name in domains():
        for module in set(sources()) - DRAWING:
            path = sources()[module][0]
            own = path.startswith((f"superdiff_engine/domains/{name}/", f"studio/views/{name}"))
            assert own or not knows(module, name), (module, knows(module, name))


def test_views_are_reached_by_name_only():
    """The stage asks `view_of`; a view may build on another one."""
    for module, others in imports().items():
        views = [other for other in others if other.startswith("studio.views.")]
        assert module.startswith("studio.views.") or not views, (module, views)


#: Where a name may be asked for: at home.
HOMES = {
    **dict.fromkeys(OPERATORS, "superdiff_engine/recipes/operators.py"),
    **dict.fromkeys(SOLVERS, "superdiff_engine/solvers.py"),
    **dict.fromkeys(ESTIMATORS, "superdiff_engine/density.py"),
    **{name: (f"superdiff_engine/domains/{name}/", f"studio/views/{name}") for name in domains()},
}
#: A domain's folder and its view may ask for what is theirs, such as a row of a table that is called "and".
ROOMS = tuple(home for name in domains() for home in HOMES[name])


def asked(tree):
    """(name, the code) wherever a text is compared with a name, looked up by names, or begins as one does."""
    for node in ast.walk(tree):
        texts = []
        if isinstance(node, ast.Compare | ast.MatchValue):
            texts = [part.value for part in ast.walk(node) if isinstance(part, ast.Constant)]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith((".startswith", ".endswith")):
            begun = tuple(part.value for part in ast.walk(node) if isinstance(part, ast.Constant))
            begun = tuple(text for text in begun if isinstance(text, str) and len(text) > 2)
            texts = [name for name in HOMES if name.startswith(begun)]
        elif isinstance(node, ast.Dict):
            keys = [key.value for key in node.keys if isinstance(key, ast.Constant) and key.value in HOMES]
            texts = keys if len(keys) > 1 else []
        for text in texts:
            if text in HOMES:
                yield text, ast.unparse(node)


def test_nobody_asks_for_a_name():
    found = {
        f"{path}: {code}"
        for path, tree in sources().values()
        for name, code in asked(tree)
        if not path.startswith(HOMES[name])
        if name in domains() or not path.startswith(ROOMS)
    }
    assert sorted(found) == []


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("recipe.domain == 'plane'", "plane"),
        ("'and' != recipe.operator.name", "and"),
        ("solver in ('heun', 'ode')", "ode"),
        ("solver.startswith('ode')", "ode"),
        ("{'or': 1, 'and': 2}[name]", "or"),
        ("match name:\n    case 'exact': pass", "exact"),
    ],
)
def test_a_question_for_a_name_is_seen(code, name):
    assert name in [found for found, _ in asked(ast.parse(code))]


def test_nobody_guesses_by_attributes():
    """What is special says so by an attribute or a method that all of its kind have."""
    found = {
        path
        for path, tree in sources().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        if node.func.id == "hasattr" or (node.func.id == "getattr" and len(node.args) == 3)
    }
    assert found == set(LOOKING)
