"""The page Library in a real browser: what was typed is text, what is selected is compared and put away."""

import shutil

import pytest
from plane_recipes import plane
from playwright.sync_api import expect

from superdiff_engine.library import Library
from superdiff_engine.runs.run import Run

pytestmark = pytest.mark.browser

NASTY = "<img src=x onerror=alert(1)> **b** 🌻 שלום " + "w" * 140
TAG = "of the browser's tests"
COUNT = "(count) => document.querySelector('.st-key-shelf-told')?.innerText.startsWith(`${count} `)"
#: What Streamlit would have made of the text, and what a browser would have.
MADE_OF_IT = (
    "() => [...document.querySelectorAll('*')].flatMap((one) => one.shadowRoot ? [one.shadowRoot] : [])"
    ".concat(document).reduce((sum, root) => sum + root.querySelectorAll('img[src=x]').length, 0)"
)


@pytest.fixture
def library(studio, tmp_path_factory):
    """The library of the server that tests share, with three runs more under one tag."""
    (home,) = tmp_path_factory.getbasetemp().glob("studio[0-9]*")
    folder, ids = home / "runs", []
    library = Library(folder)
    for seed in range(3):
        run = Run(plane(levels={"steps": 3}, batch=4, seed=seed), previews=False)
        run.folder = folder / run.id
        run.execute()
        library.label(run.id, add=[TAG])
        ids.append(run.id)
    yield library
    for id in ids:
        shutil.rmtree(folder / id, ignore_errors=True)


@pytest.fixture
def page(context, studio, library):
    page = context.new_page()
    page.goto(f"{studio}/library?tag={TAG}&star=0")
    page.wait_for_function(COUNT, arg=3)
    page.locator(".card").nth(2).wait_for()
    yield page
    page.close()


def test_what_was_typed_is_text_and_found(page):
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    page.locator(".card .more").first.click()
    name = page.get_by_label("Name", exact=True)
    name.fill(NASTY)
    name.press("Enter")
    card = page.locator(".card .open", has_text=NASTY[:40])
    card.wait_for()
    assert card.text_content() == " ".join(NASTY.split())
    box = card.evaluate("(one) => [one.scrollWidth, one.clientWidth]")
    assert box[0] <= box[1]
    # "/" leads to the search from anywhere but a field, and the gallery follows while one types.
    page.locator(".card.shown .picture").wait_for()
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("/")
    page.keyboard.type("ONERROR שלום")
    page.wait_for_function(COUNT, arg=1)
    page.wait_for_function("() => location.search.includes('q=ONERROR')")
    assert page.locator(".card").count() == 1 and page.evaluate(MADE_OF_IT) == 0
    page.reload()
    card.wait_for()
    # The field is drawn beside the cards, not before them.
    page.wait_for_function("document.querySelector('.st-key-library-search input')?.value === 'ONERROR שלום'")


def test_select_delete_undo_and_compare_by_keyboard(page, library):
    before = {path.name for path in library.folder.iterdir()}
    page.locator(".card .open").first.focus()
    for key in (" ", "Shift+ArrowRight", "s"):
        page.keyboard.press(key)
    page.get_by_text("2 selected").wait_for()
    expect(page.locator(".card .star[aria-pressed=true]")).to_have_count(1)
    page.locator(".card .open").nth(1).focus()
    page.keyboard.press("Delete")
    page.get_by_text("2 runs were put into the bin").wait_for()
    page.wait_for_function(COUNT, arg=1)
    assert len({path.name for path in library.folder.iterdir()} - {"bin"}) == len(before - {"bin"}) - 2
    page.get_by_role("button", name="Undo").click()
    page.wait_for_function(COUNT, arg=3)
    assert {path.name for path in library.folder.iterdir()} - {"bin"} == before - {"bin"}
    # A checkbox that the mouse ticked is where the keys are.
    last = page.locator(".card").nth(2).get_attribute("data-id")
    page.locator(".card .pick").nth(2).focus()
    page.keyboard.press("Delete")
    page.locator(f'.card[data-id="{last}"]').wait_for(state="detached")
    page.wait_for_function(COUNT, arg=2)
    page.get_by_role("button", name="Undo").click()
    page.wait_for_function(COUNT, arg=3)
    page.locator(".card .open").first.focus()
    page.keyboard.press("Control+a")
    page.get_by_text("3 selected").wait_for()
    page.get_by_role("button", name="Compare").click()
    page.wait_for_function("() => (location.search.match(/run=([^&]*)/) || ['', ''])[1].split(',').length === 3")
    page.get_by_text("Add another operator").first.wait_for()
    page.go_back()
    page.locator(".card.chosen").nth(2).wait_for()
