"""The first page of a server, in a real browser."""

import pytest

from tests.browser.conftest import ROOT, serving

pytestmark = pytest.mark.browser

#: As a disk that is slow to give PyTorch out.
SLOW = """
import sys
import time

class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            time.sleep(6)

sys.meta_path.insert(0, Slow())
"""


def test_a_page_that_waits_for_pytorch_says_so(context, tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text(SLOW)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with serving(ROOT / "studio" / "app.py", tmp_path) as address:
        page = context.new_page()
        page.goto(address)
        page.get_by_text("Loading PyTorch, once").wait_for()
        page.get_by_role("button", name="Run Shortcut").first.wait_for()
        assert page.get_by_text("Loading PyTorch, once").count() == 0
