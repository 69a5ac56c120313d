"""A lesson in a real browser: its runs are watched, its progress outlives a reload, and a phone has room for it."""

import json

import pytest

from superdiff_engine.lessons import read_lessons
from superdiff_engine.lessons.shelf import embedded_folder

pytestmark = pytest.mark.browser


def _shortest():
    """The embedded lesson of several runs with the least to do, of the first lesson's domain, which is quick."""
    lessons = read_lessons([embedded_folder()]).lessons
    several = [lesson for lesson in lessons if len(lesson.runs) > 1 and lesson.domain == lessons[0].domain]
    return min(several, key=lambda one: sum(run.recipe.levels.steps * run.recipe.batch for run in one.runs))


def _button(page, key):
    return page.locator(f"[class*='st-key-{key}'] button").first


def test_a_lesson_is_done_and_remembered(context, studio):
    page, lesson = context.new_page(), _shortest()
    name = lesson.name
    try:
        page.goto(f"{studio}/lessons?lesson={name}")
        _button(page, "lesson-onward").click()
        page.get_by_role("radiogroup").locator("label").nth(lesson.right).click()
        _button(page, "lesson-answer").click()
        # A reload before the run keeps the prediction, and offers the run.
        page.get_by_role("button", name="Run", exact=True).wait_for()
        page.wait_for_function(
            f"JSON.parse(localStorage['superdiff-lessons'] ?? '{{}}')['{name}']?.answer === {lesson.right}"
        )
        page.reload()
        page.get_by_role("button", name="Run", exact=True).click()
        # It goes slowly enough to be watched, with the bar that paces it.
        page.locator(".transport").wait_for()
        _button(page, "lesson-onward").click()
        page.locator(".st-key-lesson-verdict").get_by_text("as you predicted").wait_for()
        assert page.locator(".st-key-lesson-claims").get_by_text("holds").count() > 0
        assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollTop") == 0
        page.reload()
        page.locator(".st-key-lesson-verdict").wait_for()
        kept = json.loads(page.evaluate("localStorage['superdiff-lessons']"))[name]
        assert kept["answer"] == lesson.right and len(kept["runs"]) >= 2
        page.set_viewport_size({"width": 390, "height": 800})
        # Charts take up their new width in the next moments.
        page.wait_for_function("document.querySelector('[data-testid=stMain]').scrollWidth <= 390")
        page.set_viewport_size({"width": 1440, "height": 900})
        _button(page, "lesson-reset").click()
        page.wait_for_function(f"!('{name}' in JSON.parse(localStorage['superdiff-lessons']))")
        assert context.foreign == []
    finally:
        page.close()
