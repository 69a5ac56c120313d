"""What Streamlit's page may lose is drawn by way of studio/part.py (tests/browser/test_page_keys.py has it happen)."""

import ast
from pathlib import Path

import studio

STUDIO = Path(studio.__file__).parent


def calls(path):
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]


def test_every_fragment_is_a_part():
    found = [path.name for path in STUDIO.rglob("*.py") if "st.fragment" in path.read_text()]
    assert found == ["part.py"]


def test_controls_of_the_stage_that_keep_their_choice_are_told_it():
    seen = 0
    for path in STUDIO.rglob("*.py"):
        if path.parent.name not in ("stage", "views", "teach"):
            continue
        for call in calls(path):
            given = {keyword.arg: keyword.value for keyword in call.keywords}
            if "persist_state" in given:
                seen += 1
                assert ast.unparse(given["key"]).startswith("told("), f"{path.name}, line {call.lineno}"
    assert seen > 15
