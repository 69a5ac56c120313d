"""Emoji data from tiny packages, captions, and the tokenizer."""

import io
import json
import tarfile

import numpy as np
import pytest
import torch
from PIL import Image

from superdiff_engine.domains.prompts.emoji import captions, concepts, rendering, sets
from superdiff_engine.domains.prompts.emoji import packages as reading
from superdiff_engine.errors import ModelError

GROUPS = {"subgroups": {"34": "animal-mammal", "46": "food-sweet", "58": "time"}}
ENTRIES = [
    {"label": "cat face", "hexcode": "1F431", "tags": ["pet", "kitten"], "subgroup": 34},
    {"label": "doughnut", "hexcode": "1F369-FE0F", "tags": ["breakfast"], "subgroup": 46},
    {"label": "one o’clock", "hexcode": "1F550", "subgroup": 58},
    {"label": "flag: Wales", "hexcode": "1F3F4", "subgroup": 99},
]
RED = '<path fill="#f00" d="M0 0h32v32H0z"/>'
WIDE = '<path fill="#00f" d="M0 0h40v20H0z"/>'
ICONS = {
    "prefix": "tiny",
    "width": 32,
    "height": 32,
    "icons": {"cat-face": {"body": RED}, "doughnut": {"body": WIDE, "width": 40, "height": 20}},
    "aliases": {"kitty": {"parent": "kitty-face"}, "kitty-face": {"parent": "cat-face"}, "round": {"parent": "round"}},
}
CHARS = {"1f431": "kitty", "1f369": "doughnut", "1f550": "cat-face"}


def write_package(folder, source, files):
    name = f"{source.package.removeprefix('@').replace('/', '-')}-{source.version}.tgz"
    with tarfile.open(folder / name, "w:gz") as archive:
        for path, content in files.items():
            content = content if isinstance(content, bytes) else json.dumps(content).encode()
            member = tarfile.TarInfo(f"package/{path}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def webp(colour):
    buffer = io.BytesIO()
    Image.new("RGBA", (256, 256), colour).save(buffer, "WEBP", lossless=True)
    return buffer.getvalue()


@pytest.fixture
def packages(tmp_path):
    """The four generator sets and the labels; the 3D set lacks the doughnut."""
    write_package(tmp_path, sets.LABELS, {"en/data.json": ENTRIES, "meta/groups.json": GROUPS})
    for source in sets.GENERATOR_SETS:
        files = {"chars.json": CHARS, "icons.json": ICONS}
        if source.style == "3d":
            files = {"assets/1f431-fe0f.webp": webp((0, 255, 0, 255))}
        write_package(tmp_path, source, files)
    return tmp_path


def concept(name="cat", tags=("pet", "kitten"), kind="animal"):
    return concepts.Concept("1f408", (name,), tags, kind)


def test_concepts_are_everyday_things_that_three_sets_draw(packages):
    found = reading.load_concepts(packages)
    assert [(one.id, one.name) for one in found] == [("1f369", "donut"), ("1f431", "cat face")]
    assert found[0].names == ("donut", "doughnut") and found[1].tags == ("pet", "kitten")
    (packages / "iconify-json-noto-1.2.9.tgz").unlink()
    write_package(packages, sets.GENERATOR_SETS[0], {"chars.json": {"1f431": "cat-face"}, "icons.json": ICONS})
    assert [one.id for one in reading.load_concepts(packages)] == ["1f431"]  # only two sets draw the doughnut now


def test_missing_packages_are_named_with_the_command_that_fetches_them(packages):
    (packages / "iconify-json-twemoji-1.2.5.tgz").unlink()
    with pytest.raises(FileNotFoundError, match=rf"cd {packages} && npm pack @iconify-json/twemoji@1.2.5'"):
        reading.load_concepts(packages)


def test_noto_v1_is_not_taken_for_noto(packages):
    (packages / "iconify-json-noto-1.2.9.tgz").rename(packages / "iconify-json-noto-v1-1.2.5.tgz")
    with pytest.raises(FileNotFoundError, match="@iconify-json/noto@"):
        reading.load_concepts(packages)


def test_a_damaged_package_is_named(packages):
    (packages / "iconify-json-noto-1.2.9.tgz").write_bytes(b"not an archive")
    with pytest.raises(ModelError, match=r"iconify-json-noto-1\.2\.9\.tgz is damaged"):
        reading.load_concepts(packages)


def test_svg_follows_aliases_and_takes_the_icons_own_size():
    assert 'viewBox="0 0 32 32"' in rendering.svg_of(ICONS, "kitty") and RED in rendering.svg_of(ICONS, "kitty")
    assert 'viewBox="0 0 40 20"' in rendering.svg_of(ICONS, "doughnut")
    for name in ("round", "nobody"):
        with pytest.raises(ModelError, match=f"no icon '{name}'"):
            rendering.svg_of(ICONS, name)


def test_pictures_are_centred_on_white_within_the_margin(packages):
    pytest.importorskip("cairosvg", exc_type=(ImportError, OSError))
    pictures = rendering.load_pictures(packages)
    assert pictures.present.tolist() == [[True, True], [True, True], [False, True], [True, True]]
    square, wide, missing = pictures.masters[0, 1], pictures.masters[0, 0], pictures.masters[2, 0]
    expected = np.full((192, 192, 3), 255)
    expected[12:180, 12:180] = (255, 0, 0)
    assert np.array_equal(square, expected)
    assert (missing == 255).all()
    blue = (wide == (0, 0, 255)).all(2)
    assert blue.sum() == 168 * 84 and blue[54:138, 12:180].all()
    assert (pictures.masters[2, 1][12:180, 12:180] == (0, 255, 0)).all()
    small = np.asarray(pictures.picture(1, 0))
    assert small.shape == (128, 128, 3) and (small[12:116, 12:116] == (255, 0, 0)).all() and (small[0] == 255).all()


def test_rendered_pictures_are_read_again_and_renewed_with_the_package(packages):
    pytest.importorskip("cairosvg", exc_type=(ImportError, OSError))
    lines = []
    first = rendering.load_pictures(packages, report=lines.append)
    again = rendering.load_pictures(packages, report=lines.append)
    assert len(lines) == 4 and np.array_equal(first.masters, again.masters)
    blue = {**ICONS, "icons": {**ICONS["icons"], "cat-face": {"body": RED.replace("#f00", "#00f")}}}
    write_package(packages, sets.GENERATOR_SETS[0], {"chars.json": CHARS, "icons.json": blue})
    renewed = rendering.load_pictures(packages, report=lines.append)
    assert len(lines) == 5 and tuple(renewed.masters[0, 1, 96, 96]) == (0, 0, 255)


def test_scorer_sets_without_code_points_are_matched_by_name(packages):
    for source in sets.SCORER_SETS:
        icons = {**ICONS, "icons": {"catface": {"body": RED}}, "aliases": {}}
        write_package(packages, source, {"icons.json": icons})
    assert set(reading.scorer_coverage(packages).values()) == {("1f431",)}


def test_no_source_is_share_alike():
    assert {one.licence for one in (*sets.GENERATOR_SETS, *sets.SCORER_SETS, sets.LABELS)} <= {
        "Apache-2.0",
        "MIT",
        "CC-BY-4.0",
    }


def test_pictures_with_letters_are_not_mirrored():
    assert concept("cat").mirrors and concept("maple leaf").mirrors
    assert not concept("world map").mirrors and not concept("tear-off calendar").mirrors


def test_captions_name_the_concept_and_held_out_ones_are_never_trained():
    for one in (concept(), concept("olive", ("fruit",), "fruit"), concept("scissors", (), "office")):
        trained = set().union(*(captions.training_captions(one, style) for style in sets.STYLES))
        assert all(one.name in text for text in trained)
        assert not trained & set(captions.held_out_captions(one))
        for style, (said, _) in captions.STYLE_WORDS.items():
            others = set().union(*(captions.training_captions(one, each) for each in sets.STYLES if each != style))
            assert f"{one.name}, {said}" in set(captions.training_captions(one, style)) - others


def test_articles():
    names = {"cat": "a cat", "otter": "an otter", "umbrella": "an umbrella", "unicorn": "a unicorn", "jeans": "jeans"}
    assert {name: captions.with_article(name) for name in names} == names
    assert [captions.with_article(name) for name in ("bus", "french fries", "face with spiral eyes")] == [
        "a bus",
        "french fries",
        "a face with spiral eyes",
    ]


def test_drawn_captions_depend_on_the_generator_alone():
    drawn = [
        captions.draw_caption(concept(), "flat", torch.Generator().manual_seed(seed)) for seed in (3, 3, *range(20))
    ]
    assert drawn[0] == drawn[1] and len(set(drawn)) > 5


def test_vocabulary_finds_the_words_nobody_taught():
    known = captions.known_words([concept()])
    assert captions.unknown_words("A Cat that looks like a quokka, like a pet", known) == [
        "that",
        "looks",
        "like",
        "quokka",
    ]


def test_tokenizer_round_trip_and_reload(tmp_path):
    from transformers import CLIPTokenizer

    texts = [text for style in sets.STYLES for text in captions.training_captions(concept(), style)]
    captions.save_tokenizer(texts, tmp_path)
    tokenizer = captions.load_tokenizer(tmp_path)
    text = "a cat that looks like a dog"
    assert tokenizer.decode(tokenizer(text).input_ids, skip_special_tokens=True) == text
    assert len(tokenizer(text).input_ids) == 7 + 2  # a word a token
    strange = "zwölf 😀 quaggas"
    assert tokenizer.unk_token_id not in tokenizer(strange, add_special_tokens=False).input_ids
    # The two files of CLIP's own format mean the same as tokenizer.json.
    (tmp_path / "tokenizer.json").unlink()
    again = CLIPTokenizer.from_pretrained(tmp_path)
    for one in (text, strange, "A Donut, 3D style"):
        assert again(one).input_ids == tokenizer(one).input_ids
    assert again.model_max_length == captions.MAX_TOKENS
    ids = captions.token_ids(tokenizer, ["", "cat " * 50])
    assert ids.shape == (2, 32) and ids[0, 0] == tokenizer.bos_token_id
    assert (ids[0, 1:] == tokenizer.eos_token_id).all() and ids[1, -1] == tokenizer.eos_token_id
