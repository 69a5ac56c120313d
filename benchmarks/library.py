"""A library of 2,000 runs: python -m benchmarks.library [--runs 2000] [--no-page]. Writes docs/benchmarks_library.md.

The runs are copies of a few tiny real ones of all five domains, each with an id, a date, a seed, a name, a note, tags
and a picture of its own, in a temporary folder. Measured are the index, and the studio's Library page in a headless
Chromium (`--no-page` leaves that out). Seconds are this machine's; the ratios are of two things done turn by turn.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from playwright.sync_api import Browser, sync_playwright
from rich.console import Console
from streamlit.testing.v1 import AppTest

import studio
from superdiff_engine.domains import domains
from superdiff_engine.domains.checked import make_recipe
from superdiff_engine.library import Library, Query
from superdiff_engine.library.labels import Labels, write_labels
from superdiff_engine.runs.run import Run

ROUNDS, A_PAGE = 5, 48
#: What makes a domain's first example tiny.
TINY: dict[str, dict[str, Any]] = {
    "plane": {"levels": {"steps": 20}, "batch": 64},
    "pictures": {"levels": {"steps": 4}, "batch": 4},
    "prompts": {"levels": {"steps": 2}, "batch": 2},
    "molecules": {"levels": {"steps": 10}, "batch": 4},
    "proteins": {"levels": {"steps": 8}, "batch": 1, "residues": 40},
}
PROMPTS = ("a lion", "a sunflower", "a lemon", "a cat asleep", "a sun with face", "a ship", "a fox", "a cloud")
NAMES = ("first try", "for the talk", "mild bias", "long run", "two modes", "zum Vergleich", "比較", "сравнение")
TAGS = ("talk", "paper", "draft", "keep", "odd")
CHROMIUM = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--no-first-run"]
console = Console(width=110)


def make_originals(folder: Path) -> list[Path]:
    """Tiny runs, two of each domain."""
    found = []
    for name, domain in domains().items():
        if domain.absent:
            continue
        example = next(iter(domain.examples().values())).model_dump(exclude_none=True)
        for operator in ("or", "and"):
            recipe = make_recipe(example | TINY[name] | {"operator": {"name": operator}})
            run = Run(recipe, folder / f"{name}-{operator}")
            run.execute()
            found.append(folder / f"{name}-{operator}")
    return found


def copy_run(source: Path, library: Path, began: datetime, chance: random.Random) -> Path:
    """A copy that is a run of its own: another id, date, seed, picture, and labels by chance."""
    id = f"{began:%Y%m%d-%H%M%S}-{chance.getrandbits(32):08x}"
    target = library / id
    shutil.copytree(source, target)
    begun = json.loads((target / "begun.json").read_text())
    (target / "begun.json").write_text(json.dumps(begun | {"id": id, "begun": began.isoformat()}))
    recipe = json.loads((target / "recipe.json").read_text())
    recipe["seed"] = chance.randrange(1_000_000)
    for expert in recipe["experts"]:
        if expert.get("prompt") and recipe["domain"] == "prompts":
            expert["prompt"] = chance.choice(PROMPTS)
    (target / "recipe.json").write_text(json.dumps(recipe, indent=2))
    with np.load(target / "samples.npz") as kept:
        arrays = dict(kept)
    np.savez_compressed(target / "samples.npz", **(arrays | {"recipe": np.array(json.dumps(recipe))}))
    if (target / "preview.png").is_file():
        with Image.open(target / "preview.png") as picture:
            drawn = picture.convert("RGB")
        ImageDraw.Draw(drawn).text((8, 8), id, fill=(120, 40, 40))
        drawn.save(target / "preview.png", compress_level=1)
    name = f"{chance.choice(NAMES)} {recipe['seed']}" if chance.random() < 0.3 else ""
    note = "seen in the group meeting,\nto be run again with more steps" if chance.random() < 0.2 else ""
    tags = tuple(dict.fromkeys(chance.choices(TAGS, k=2))) if chance.random() < 0.3 else ()
    if name or note or tags:
        write_labels(target, Labels(name, note, chance.random() < 0.2, tags))
    return target


def make_library(folder: Path, runs: int) -> None:
    chance, now = random.Random(0), datetime(2026, 11, 26, 12, tzinfo=UTC)
    with tempfile.TemporaryDirectory() as made:
        originals = make_originals(Path(made))
        for number in range(runs):
            copy_run(chance.choice(originals), folder, now - timedelta(minutes=37 * number), chance)
            if number % 200 == 0:
                console.print(f"{number} of {runs} runs made", markup=False)


def seconds(work: Callable[[], Any], rounds: int = ROUNDS) -> float:
    """The median over the rounds."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def read_plainly(folder: Path) -> None:
    """What any reader of all folders has to do: list each, and parse the four small documents."""
    for run in os.scandir(folder):
        if run.is_dir() and not run.name.startswith("."):
            for file in os.scandir(run.path):
                file.stat()
                if file.name in ("begun.json", "recipe.json", "status.json", "labels.json"):
                    json.loads(Path(file.path).read_bytes())


def measure_index(folder: Path) -> list[tuple[str, str, str]]:
    """(what, how long, the bar) of the engine's part."""
    library = Library(folder)
    plain, anew = [], []
    for _ in range(3):
        plain.append(seconds(lambda: read_plainly(folder), 1))
        anew.append(seconds(library.reindex, 1))
    library.refresh()
    nothing = seconds(library.refresh)
    listing = seconds(lambda: [one.stat(follow_symlinks=False) for one in os.scandir(folder)])
    ids = [entry.id for entry in library.find(Query(most=A_PAGE)).entries]

    def ten_changed() -> None:
        for id in ids[:10]:
            os.utime(folder / id)
        library.refresh()

    ten = seconds(ten_changed)
    page = seconds(lambda: library.find(Query(most=A_PAGE)))
    last = seconds(lambda: library.find(Query(most=A_PAGE, start=library.find(Query(most=0)).total - A_PAGE)))
    search = seconds(lambda: library.find(Query(text="sunflower talk", most=A_PAGE)))
    filtered = seconds(lambda: library.find(Query(domains=("prompts",), tags=("talk",), sort="name", most=A_PAGE)))
    counts = seconds(library.counts)
    entries = library.find(Query(most=A_PAGE)).entries
    cold = seconds(lambda: library.thumbnails(entries), 1)
    warm = seconds(lambda: library.thumbnails(entries))
    known = [name for name, domain in domains().items() if not domain.absent]
    opened = {name: next(one.id for one in library.find(Query(domains=(name,))).entries) for name in known}
    opens = {name: seconds(lambda id=id: library.open(id), 3) for name, id in opened.items()}
    total = library.find(Query(most=0))
    return [
        (f"reindex of {total.total:,} runs ({total.bytes / 1e6:,.0f} MB)", f"{min(anew):.2f} s", "60 s"),
        (
            "the same, over listing the folders and parsing their small documents",
            f"{statistics.median(b / a for a, b in zip(plain, anew, strict=True)):.1f}",
            "",
        ),
        ("refresh, nothing new", f"{1000 * nothing:.0f} ms", ""),
        ("the same, over a listing of the folder", f"{nothing / listing:.1f}", ""),
        ("refresh, ten folders changed", f"{1000 * ten:.0f} ms", ""),
        (f"the first {A_PAGE} runs", f"{1000 * page:.0f} ms", ""),
        (f"the last {A_PAGE} runs", f"{1000 * last:.0f} ms", ""),
        ("a search for two words", f"{1000 * search:.0f} ms", "300 ms"),
        ("a domain and a tag, by name", f"{1000 * filtered:.0f} ms", ""),
        ("counts of domains, operators, states and tags", f"{1000 * counts:.0f} ms", ""),
        (f"{len(entries)} small pictures, made", f"{cold:.2f} s", ""),
        (f"{len(entries)} small pictures, kept", f"{1000 * warm:.0f} ms", ""),
        (
            "opening one run whole (" + ", ".join(opens) + ")",
            ", ".join(f"{1000 * one:.0f}" for one in opens.values()) + " ms",
            "",
        ),
    ]


#: The time at which the Library page first showed cards, and pictures in them; at which it showed one card alone.
WATCH = """() => {
    const cards = (root, found = []) => {
        for (const one of root.querySelectorAll("*")) {
            if (one.matches("li.card")) found.push(one);
            if (one.shadowRoot) cards(one.shadowRoot, found);
        }
        return found;
    };
    window.seen = {};
    const look = () => {
        const found = cards(document);
        if (found.length > 1) window.seen.cards ??= performance.now();
        if (found.length > 1 && found[0].querySelector("img")?.complete) window.seen.pictures ??= performance.now();
        if (found.length === 1) window.seen.one ??= performance.now();
        requestAnimationFrame(look);
    };
    addEventListener("DOMContentLoaded", look);
}"""


def measure_page(folder: Path) -> list[tuple[str, str, str]]:
    """Likewise, of the studio's page Library on a server of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [str(Path(sys.executable).with_name("superdiff")), "studio", "--port", str(port), "--no-browser"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen(command, env=os.environ | {"SUPERDIFF_LIBRARY": str(folder)}, **quiet)
    chromium = os.environ.get("SUPERDIFF_CHROMIUM") or shutil.which("chromium")
    library = Library(folder)
    try:
        wait_for(address, server)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM)
            # The first tab also imports what the pages need.
            again = [shown(browser, address, library, number) for number in range(1 + ROUNDS)][1:]
            browser.close()
    finally:
        server.terminate()
        server.wait(20)

    def told(name: str) -> str:
        times = [one[name] for one in again]
        return f"{statistics.median(times):.2f} s (best {min(times):.2f} s)"

    return [
        ("the page, from its address to the first cards and their pictures", told("pictures"), "2 s"),
        (
            "the same, over the page Compose, from its address to its Run button",
            f"{statistics.median(one['pictures'] / one['compose'] for one in again):.2f}",
            "",
        ),
        ("the page, from the last letter of a search to its one result", told("search"), "0.3 s"),
        ("of that, the server's processor time", f"{measure_script(folder):.2f} s", ""),
    ]


def measure_script(folder: Path) -> float:
    """CPU seconds that the server spends on a search, which others at work on the machine hardly change."""
    os.environ["SUPERDIFF_LIBRARY"] = str(folder)
    app = AppTest.from_file(str(Path(studio.__file__).parent / "app.py"), default_timeout=120)
    app.run()
    app.switch_page("screens/library.py")
    app.run()
    times = []
    for text in PROMPTS[: ROUNDS + 1]:
        next(field for field in app.text_input if field.key == "library-search").set_value(text)
        start = time.process_time()
        app.run()
        times.append(time.process_time() - start)
    return statistics.median(times[1:])


def wait_for(address: str, server: subprocess.Popen) -> None:
    """Until the server answers."""
    started = time.monotonic()
    while True:
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            if server.poll() is not None or time.monotonic() - started > 120:
                sys.exit("The studio did not start; run `superdiff studio` to see why.")
            time.sleep(0.1)


def shown(browser: Browser, address: str, library: Library, number: int) -> dict[str, float]:
    """Seconds until a new tab shows cards and their pictures, and until a search for one run shows that one alone."""
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.set_default_timeout(60_000)
    started = time.perf_counter()
    page.goto(address)
    page.get_by_role("button", name="Run Shortcut").first.wait_for()
    compose = time.perf_counter() - started
    page.goto("about:blank")
    page.add_init_script(f"({WATCH})()")
    page.goto(f"{address}/library")
    page.wait_for_function("() => window.seen.pictures")
    found = page.evaluate("() => window.seen")
    page.wait_for_timeout(1500)  # whatever the page still does after it has come
    wanted = library.find(Query(start=100 + 10 * number, most=1)).entries[0].id
    page.locator(".st-key-library-search input").click()
    started = page.evaluate("() => { delete window.seen.one; return performance.now(); }")
    page.keyboard.insert_text(wanted)
    page.wait_for_function("() => window.seen.one")
    searched = page.evaluate("() => window.seen.one") - started
    page.close()
    return {name: found[name] / 1000 for name in ("cards", "pictures")} | {
        "search": searched / 1000,
        "compose": compose,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--folder", type=Path, help="where the library is made, or is already; else a temporary one")
    parser.add_argument("--no-page", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder: Path = asked.folder or Path(temporary) / "library"
        if not folder.is_dir():
            make_library(folder, asked.runs)
        before = os.getloadavg()[0]
        rows = measure_index(folder)
        if not asked.no_page:
            rows += measure_page(folder)
        after = os.getloadavg()[0]
    lines = [
        "# Benchmarks of the library",
        "",
        f"`python -m benchmarks.library`, {time.strftime('%Y-%m-%d')}, {os.cpu_count()} CPU cores ({processor()}), "
        f"load average {before:.1f} before and {after:.1f} after (what is above 1 was others' work). Copies of ten "
        "tiny runs of all five domains, each with its own id, date, seed, labels and picture. Medians of "
        f"{ROUNDS}, of reindex the best of 3; files are in the system's memory.",
        "",
        "| what | measured | bar |",
        "| --- | --- | --- |",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]
    text = "\n".join(lines) + "\n"
    Path("docs/benchmarks_library.md").write_text(text)
    console.print(text, markup=False)


def processor() -> str:
    found = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    return f"{platform.machine()}, {found[1]}" if found else platform.machine()


if __name__ == "__main__":
    main()
