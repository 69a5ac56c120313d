"""Which concepts the text-to-image model learns, checked against the concepts that its judge knows."""

import json

import numpy as np

from superdiff_engine.domains.prompts.emoji import vocabulary
from superdiff_engine.domains.prompts.emoji.concepts import PAIRS, Concept
from superdiff_engine.domains.prompts.emoji.rendering import EmojiPictures
from superdiff_engine.domains.prompts.judge.classifier import load_classifier
from superdiff_engine.system.assets import assets_folder


def test_every_listed_name_is_a_concept_of_its_kind():
    known = {concept.name: concept.kind for concept in load_classifier().concepts}
    for kind, listed in vocabulary.LEARNED.items():
        names = [name.strip() for name in " ".join(listed.split()).split(",")]
        assert {known[name] for name in names} == {kind}, kind
        assert len(names) == len(set(names))


def test_several_hundred_of_every_sort_are_learned_and_all_that_the_tables_ask_for():
    concepts = load_classifier().concepts
    learned = {concept.name for concept in concepts if vocabulary.is_learned(concept)}
    stored = json.loads((assets_folder() / "emoji" / "superdiff.json").read_text())
    assert len(learned) == 556 and learned == {one["name"] for one in stored["concepts"]}
    assert {name for pair in PAIRS for name in pair} <= learned
    kinds = [concept.kind for concept in concepts if concept.name in learned]
    for kind in ("animal", "fruit", "food", "vehicle", "sport", "music", "face", "tool", "weather"):
        assert kinds.count(kind) >= 10, kind
    assert "grinning face" in learned and "grinning face with sweat" not in learned


def test_pictures_stay_with_their_concepts():
    names = ("cat", "fog", "dog")
    concepts = tuple(Concept(name, (name,), (), kind) for name, kind in zip(names, ("a", "weather", "a"), strict=True))
    masters = np.arange(6, dtype=np.uint8).reshape(2, 3, 1, 1, 1)
    present = np.array([[True, True, False], [True, False, True]])
    kept = EmojiPictures(concepts, ("one", "two"), masters, present).only(vocabulary.is_learned)
    assert [concept.name for concept in kept.concepts] == ["cat", "dog"]
    assert kept.masters.ravel().tolist() == [0, 2, 3, 5] and kept.present.tolist() == [[True, False], [True, True]]
