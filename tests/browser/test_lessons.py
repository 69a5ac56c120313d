"""A lesson in a real browser: its run is watched, its progress outlives a reload, and a phone has no scroll bar sideways."""

import json

import pytest

pytestmark = pytest.mark.browser
LESSON = "40-or-is-a-mixture"


def _button(page, key):
    return page.locator(f"[class*='st-key-{key}'] button").first


def test_a_lesson_is_done_and_remembered(context, studio):
    page = context.new_page()
    try:
        page.goto(f"{studio}/lessons?lesson={LESSON}")
        _button(page, "lesson-onward").click()
        page.get_by_role("radiogroup").locator("label").nth(1).click()
        _button(page, "lesson-answer").click()
        # A reload before the run keeps the prediction, and offers the run.
        page.get_by_role("button", name="Run", exact=True).wait_for()
        page.wait_for_function(f"JSON.parse(localStorage['superdiff-lessons'] ?? '{{}}')['{LESSON}']?.answer === 1")
        page.reload()
        page.get_by_role("button", name="Run", exact=True).click()
        # It goes slowly enough to be watched, and can be paused and let go on.
        page.get_by_role("button", name="Pause").click()
        page.get_by_text("Paused: step").first.wait_for()
        page.evaluate("document.querySelector('.transport-speed input').focus()")
        page.keyboard.press("End")
        page.get_by_role("button", name="Continue").click()
        _button(page, "lesson-onward").click()
        page.locator(".st-key-lesson-verdict").get_by_text("as you predicted").wait_for()
        assert page.locator(".st-key-lesson-claims").get_by_text("holds").count() > 0
        assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollTop") == 0
        page.reload()
        page.locator(".st-key-lesson-verdict").wait_for()
        kept = json.loads(page.evaluate("localStorage['superdiff-lessons']"))[LESSON]
        assert kept["answer"] == 1 and len(kept["runs"]) >= 2
        page.set_viewport_size({"width": 390, "height": 800})
        assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= 390
        page.set_viewport_size({"width": 1440, "height": 900})
        _button(page, "lesson-reset").click()
        page.wait_for_function(f"!('{LESSON}' in JSON.parse(localStorage['superdiff-lessons']))")
        assert context.foreign == []
    finally:
        page.close()
