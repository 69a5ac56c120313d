"""The notebooks of docs run as written, with few steps, and results show themselves in their cells."""

from pathlib import Path

import nbclient
import nbformat
import pytest
from nasty import NASTY
from plane_recipes import plane

from superdiff_engine.domain import Solid
from superdiff_engine.runs.run import Run
from superdiff_engine.web.cells import result_html, run_html, view_3d

NOTEBOOKS = Path(__file__).parents[2] / "docs" / "notebooks"


def executed(name, monkeypatch):
    """The cells of a notebook after a kernel has run them; what it raised is raised."""
    monkeypatch.setenv("SUPERDIFF_NOTEBOOK_STEPS", "4")
    monkeypatch.setenv("SUPERDIFF_NOTEBOOK_BATCH", "1")
    book = nbformat.read(NOTEBOOKS / name, as_version=4)
    assert all(not cell.get("outputs") for cell in book.cells), "notebooks are kept without outputs"
    nbclient.NotebookClient(book, timeout=300, kernel_name="python3", resources={"metadata": {"path": "."}}).execute()
    return [output for cell in book.cells for output in cell.get("outputs", [])]


@pytest.mark.parametrize(
    ("name", "results", "steps"), [("plane_in_ten_minutes.ipynb", 1, 2), ("composing_prompts.ipynb", 2, 0)]
)
def test_a_notebook_runs_and_shows_its_results(name, results, steps, monkeypatch):
    outputs = executed(name, monkeypatch)
    shown = "".join(output.get("data", {}).get("text/html", "") for output in outputs)
    assert shown.count("superdiff-result") == results and shown.count("superdiff-step") == steps
    assert shown.count("data:image/png") >= results + steps and shown.count("data:image/svg+xml") == 2 * results
    (film,) = [output["data"]["image/gif"] for output in outputs if "image/gif" in output.get("data", {})]
    assert film.startswith("R0lGODlh")


def test_what_was_typed_is_no_markup_in_a_cell():
    run = Run(plane())
    assert "queued" in run_html(run)
    result = run.execute()
    result.titles[:] = ["<script>1</script>", NASTY]
    page = result_html(result)
    assert "<script>1" not in page and "http" not in page.split("data:image")[0]


def test_a_view_in_three_dimensions_needs_no_net():
    """py3Dmol's page holds the script, and of the molecule numbers and elements alone."""
    frame = {"elements": ["C", "O"], "positions": [[0.0, 0.0, 0.0], [1.2, 0.0, 0.0]], "bonds": [[0, 1, 2]]}
    page = view_3d(Solid("<b>", "</script>", frame))._make_html()
    assert "data:text/javascript;base64," in page and "https://" not in page and "<b>" not in page
    assert "O 1.200 0.000 0.000" in page
