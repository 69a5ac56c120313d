"""A real server and a real Chromium, offline."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATIENCE = 60_000  # milliseconds; machines that run tests are busy


@contextmanager
def serving(script, folder, port=None, threads=1):
    """The address of a page that Streamlit serves while this lasts, on this or a free port; the folder has its log.

    Runs compute on so many threads: with one there is a core for the browser.
    """
    if port is None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
    environment = os.environ | {
        "SUPERDIFF_LIBRARY": str(folder / "runs"),
        "OMP_NUM_THREADS": str(threads),
        "HF_HUB_OFFLINE": "1",
    }
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "streamlit", "run", str(script), f"--server.port={port}", "--server.headless=true"]
    command += ["--server.address=127.0.0.1", "--browser.gatherUsageStats=false"]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, cwd=script.parent, env=environment, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{address}/_stcore/health", timeout=5).close()
                break
            except OSError:
                assert server.poll() is None, (folder / "log").read_text()
                time.sleep(0.1)
        yield address
    finally:
        server.terminate()
        server.wait(20)


@pytest.fixture(scope="session")
def serve():
    """`serving`, for tests that have a page of their own."""
    return serving


@pytest.fixture(scope="session")
def studio(tmp_path_factory):
    """The address of a running studio, whose runs go to a folder of the tests."""
    with serving(ROOT / "studio" / "serve.py", tmp_path_factory.mktemp("studio")) as address:
        yield address


@pytest.fixture(scope="session")
def chromium():
    """The browser; the test is skipped where there is none."""
    path = os.environ.get("SUPERDIFF_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("no Chromium on this machine; name one in SUPERDIFF_CHROMIUM")
    from playwright.sync_api import sync_playwright

    switches = [
        "--no-sandbox",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
        # Nothing but this machine is reached: all else goes through a proxy that nobody is.
        "--proxy-server=http://127.0.0.1:9",
        # WebGL without a graphics card.
        "--enable-unsafe-swiftshader",
    ]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=switches)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def context(chromium):
    """One browser profile, so that a server's code is loaded once; `foreign` lists what it wanted of other machines.

    Requests are looked at, not routed: a profile that routes keeps nothing, and loads all code with every page.
    """
    context = chromium.new_context(viewport={"width": 1440, "height": 900}, accept_downloads=True)
    context.set_default_timeout(PATIENCE)
    context.foreign = []

    def look(request):
        if request.url.startswith(("http:", "https:")) and not request.url.startswith("http://127.0.0.1:"):
            context.foreign.append(request.url)

    context.on("request", look)
    yield context
    context.close()


@pytest.fixture(autouse=True)
def nothing_left_open(request):
    """Pages that a failing test left open would slow down those after it."""
    context = request.getfixturevalue("context") if "context" in request.fixturenames else None
    before = list(context.pages) if context else []
    yield
    for page in context.pages if context else []:
        if page not in before:
            page.close()


@pytest.fixture
def page(context, studio):
    """The studio, open and ready."""
    page = context.new_page()
    page.goto(studio)
    page.get_by_role("button", name="Run Shortcut").first.wait_for()
    yield page
    page.close()
