"""Runs as web pages: whole, without any other place, and with nothing typed as markup; a real browser opens them in
tests/browser/test_web_pages.py.
"""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from nasty import NASTY
from plane_recipes import plane
from rdkit import Chem
from typer.testing import CliRunner

from superdiff_engine.cli.app import app
from superdiff_engine.domain import Shown
from superdiff_engine.domains import get_domain
from superdiff_engine.domains.checked import make_recipe
from superdiff_engine.errors import SuperDiffError
from superdiff_engine.runs.run import Run
from superdiff_engine.web.page import run_page, solids_page

HOSTILE = "</script><script>window.ran=1</script><img src=x onerror=window.ran=1>"


class Reader(HTMLParser):
    """The elements of a page with their attributes, and its text by element."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.texts, self.within = [], {}, []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br"):
            self.within.append(tag)

    def handle_endtag(self, tag):
        assert self.within.pop() == tag

    def handle_data(self, data):
        self.texts.setdefault(self.within[-1] if self.within else "", []).append(data)


@pytest.fixture(scope="module")
def molecules():
    document = next(iter(get_domain("molecules").examples().values())).model_dump(mode="json")
    return Run(make_recipe(document | {"batch": 3, "levels": {"steps": 4}})).execute()


def data_of(page, name):
    """What a page's script was given as `name`."""
    return json.loads(re.search(rf"const {name} = (.+);\n", page)[1])


def test_a_page_of_a_run_holds_all_of_it():
    run = Run(plane(experts=[{"model": "ring"}, {"model": "petal_a"}]))
    result = run.execute()
    page = run_page(result, title=HOSTILE, note=NASTY, titles=[HOSTILE, "Petal $x^2$"])
    read = Reader(page)
    assert not read.within
    assert read.texts["h1"] == read.texts["title"] == [HOSTILE]
    assert make_recipe(json.loads("".join(read.texts["pre"]))) == result.recipe
    # Scripts are its own two; nothing points anywhere.
    assert [tag for tag, _ in read.elements].count("script") == 2
    assert all("onerror" not in attributes for _, attributes in read.elements)
    assert not [one for _, one in read.elements if str(one.get("src", one.get("href", "data:")))[:5] != "data:"]
    charts = data_of(page, "CHARTS")
    assert [chart["layout"]["yaxis"]["title"]["text"] for chart in charts] == ["log q, nats", "log q − mean, nats", "κ"]
    curves = run.trace.curves()
    bold = charts[0]["data"][-1]
    np.testing.assert_allclose(bold["x"], curves.level, rtol=1e-5)
    np.testing.assert_allclose(bold["y"], curves.mean_log_density[:, 1], rtol=1e-5)
    assert bold["name"] == "2 Petal &#36;x^2&#36;" and "<script" not in json.dumps(charts)
    rows = [value for value in read.texts["td"] if value]
    assert f"{result.log_density[1, 5]:.5g}" in rows
    assert any(figure.title in read.texts["td"] for figure in get_domain("plane").figures(result))


def test_molecules_in_three_dimensions(molecules):
    """What the page is given is the molecule: RDKit reads the same formula off it."""
    page = solids_page(molecules, Shown(rows=(2, 0)))
    solids = data_of(page, "SOLIDS")
    assert [one["title"] for one in solids] == ["Molecule 2", "Molecule 0"]
    for one, row in zip(solids, (2, 0), strict=True):
        frame, count = one["frame"], int(molecules.decoded.atoms[row])
        assert len(frame["elements"]) == len(frame["positions"]) == count
        np.testing.assert_allclose(frame["positions"], molecules.decoded.positions[row][:count], atol=1e-3)
        if molecules.decoded.valid[row]:
            found = Chem.RWMol()
            for element in frame["elements"]:
                found.AddAtom(Chem.Atom(element))
            kinds = {1: Chem.BondType.SINGLE, 2: Chem.BondType.DOUBLE, 3: Chem.BondType.TRIPLE}
            for first, second, order in frame["bonds"]:
                found.AddBond(first, second, kinds[order])
            Chem.SanitizeMol(found)
            assert Chem.MolToSmiles(Chem.RemoveHs(found)) == Chem.CanonSmiles(str(molecules.decoded.smiles[row]))
    whole = run_page(molecules)
    assert len(data_of(whole, "SOLIDS")) == 3 and len(data_of(whole, "CHARTS")) >= 1
    flat = Run(plane()).execute()
    with pytest.raises(SuperDiffError, match="no shape in 3D"):
        solids_page(flat)


def test_the_command_writes_a_page_of_a_record(tmp_path):
    Run(plane(), tmp_path / "run", previews=False).execute()
    out = tmp_path / "run.html"
    found = CliRunner().invoke(app, ["page", str(tmp_path / "run"), "--out", str(out), "--title", "<b>Rows</b>"])
    assert found.exit_code == 0, found.output
    assert "<h1>&lt;b&gt;Rows&lt;/b&gt;</h1>" in out.read_text()
    for words, said in (
        (["--out", str(out)], "is there already"),
        (["--out", str(tmp_path / "b.pdf")], "ends in .html"),
        (["--3d", "--out", str(tmp_path / "b.html")], "no shape in 3D"),
    ):
        found = CliRunner().invoke(app, ["page", str(tmp_path / "run"), *words])
        assert isinstance(found.exception, SuperDiffError) and said in str(found.exception)
