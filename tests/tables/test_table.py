import json
from dataclasses import replace

import pytest

from superdiff_engine.domains import layouts
from superdiff_engine.errors import OutputError, SuperDiffError
from superdiff_engine.tables.markdown import Column, Layout, markdown_table, update_readme
from superdiff_engine.tables.table import Row, Table, Value, read_table, with_known_rows, write_table

TABLE = Table(
    command="superdiff evaluate tiny",
    seeds=[0, 1],
    steps=50,
    notes="Two rows.",
    rows=[
        Row(
            name="or/sde",
            samples=2000,
            seconds=610.0,
            values={"fid": Value(value=9.1, error=0.3), "share": Value(value=0.5, error=0.01)},
        ),
        Row(name="a", samples=10, seconds=1, values={"fid": Value(value=12)}),
    ],
)
LAYOUT = Layout(
    [Column("fid", "FID"), Column("share", "share", 0, percent=True)], {"or/sde": "OR"}, ["paper"], {"a": ["4"]}
)


def test_a_table_is_written_in_the_layout_of_the_design(tmp_path):
    path = tmp_path / "docs" / "tables" / "tiny.json"
    write_table(TABLE, path)
    document = json.loads(path.read_text())
    assert list(document) == ["command", "seeds", "steps", "notes", "rows"]
    assert document["rows"][0]["values"]["fid"] == {"value": 9.1, "error": 0.3}
    assert read_table(path) == TABLE


def test_markdown_shows_figures_errors_and_the_papers():
    assert markdown_table(TABLE, LAYOUT).splitlines() == [
        "|  | FID | share | paper |",
        "| --- | --- | --- | --- |",
        "| OR | 9.10 ± 0.30 | 50% ± 1% |  |",
        "| a | 12.00 |  | 4 |",
        "",
        "`superdiff evaluate tiny` Two rows.",
    ]


def test_columns_without_a_figure_are_left_out():
    some = TABLE.model_copy(update={"rows": [Row(name="b", samples=1, seconds=1, values={"share": Value(value=0.5)})]})
    assert markdown_table(some, LAYOUT).splitlines()[:3] == ["|  | share |", "| --- | --- |", "| b | 50% |"]


def test_readme_is_filled_between_its_markers_only(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- table:tiny -->\nold\n<!-- /table -->\nafter\n")
    write_table(TABLE, tmp_path / "docs" / "tables" / "tiny.json")
    assert update_readme(readme, {"tiny": LAYOUT})
    text = readme.read_text()
    assert text.startswith("before\n<!-- table:tiny -->\n|  | FID")
    assert text.endswith("<!-- /table -->\nafter\n")
    assert "old" not in text
    assert not update_readme(readme, {"tiny": LAYOUT})  # nothing left to change


def test_one_file_fills_several_tables(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("<!-- table:tiny --><!-- /table -->\n<!-- table:half --><!-- /table -->")
    write_table(TABLE, tmp_path / "docs" / "tables" / "tiny.json")
    half = replace(LAYOUT, source="tiny", rows=("b",))
    update_readme(readme, {"tiny": LAYOUT, "half": half})
    first, second = readme.read_text().split("<!-- table:half -->")
    some = TABLE.model_copy(update={"rows": [row for row in TABLE.rows if row.name == "b"]})
    assert markdown_table(TABLE, LAYOUT) in first and markdown_table(some, LAYOUT) in second


def test_tables_that_are_missing_or_wrong_give_one_sentence(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("<!-- table:tiny --><!-- /table -->")
    with pytest.raises(SuperDiffError, match=r"There is no table .*superdiff evaluate tiny"):
        update_readme(readme, {"tiny": LAYOUT})
    with pytest.raises(SuperDiffError, match="asks for a table 'tiny'"):
        update_readme(readme, {})
    path = tmp_path / "tiny.json"
    path.write_text('{"rows": 3}')
    with pytest.raises(SuperDiffError, match="is no table"):
        read_table(path)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        write_table(TABLE, tmp_path / "file" / "tiny.json")


def test_every_layout_names_what_its_rows_hold():
    known = layouts()
    assert {"pictures", "prompts"} <= set(known)
    for layout in known.values():
        assert set(layout.paper) <= set(layout.row_titles)


def test_rows_of_an_earlier_table_stay_where_it_was_made_in_the_same_way(tmp_path):
    def table(notes, weights=None, **samples):
        rows = [
            Row(name=name, weights=weights, samples=count, seconds=1.0, values={}) for name, count in samples.items()
        ]
        return Table(command="superdiff evaluate x", seeds=[0], notes=notes, rows=rows)

    def known(notes, weights, **samples):
        return with_known_rows(table(notes, **samples), path, {"a": weights, "b": None})

    path = tmp_path / "x.json"
    assert known("way 1", None, b=3) == table("way 1", b=3)
    write_table(table("way 1", "old", a=1), path)
    assert [row.samples for row in known("way 1", "old", b=3).rows] == [1, 3]
    assert known("way 1", "new", b=3) == table("way 1", b=3)  # its model was trained again
    assert known("way 2", "old", b=3) == table("way 2", b=3)
    assert with_known_rows(table("way 1", b=3), path, {"b": None}) == table("way 1", b=3)  # its model is gone
    path.write_text("{}")
    assert known("way 1", "old", b=3) == table("way 1", b=3)
