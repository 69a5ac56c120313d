"""Files are read in a process apart, within bounds, and never longer than somebody waits."""

import subprocess
import sys
import threading
import time

import pytest

from superdiff_engine.errors import SuperDiffError
from superdiff_engine.system import sandbox
from superdiff_engine.system.sandbox import Limits, Reading, read_apart

HOSTILE = """
def given(content, **options):
    return {"length": len(content), "options": options}
def forever(content):
    while True: pass
def asleep(content):
    import time
    time.sleep(600)
def memory(content):
    return {"length": len(bytearray(4 * 2**30))}
def endless(content):
    import sys, os
    return {"text": "x" * 2**22}
def dead(content):
    import os
    os.kill(os.getpid(), 11)
def taken_over(content):
    import os, sys
    for descriptor in range(3, 20):
        try: os.write(descriptor, b"{" * 100_000)
        except OSError: pass
    os._exit(0)
def files(content):
    with open("here", "wb") as file:
        file.write(b"x" * 10)
    return {}
def loud(content):
    import os
    os.write(1, b"from a library")
    return {"fine": True}
def refusing(content):
    from superdiff_engine.errors import SuperDiffError
    raise SuperDiffError("One sentence.")
def broken(content):
    return 1 / 0
def nan(content):
    return {"value": float("nan")}
"""


@pytest.fixture
def hostile(tmp_path, monkeypatch):
    """Readers that do harm, as a module that the process apart can import."""
    (tmp_path / "hostile_readers.py").write_text(HOSTILE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return "hostile_readers:"


def test_an_answer_and_its_options(hostile):
    assert read_apart(hostile + "given", b"abc", options={"more": 1}) == {"length": 3, "options": {"more": 1}}
    assert read_apart(hostile + "loud", b"") == {"fine": True}


@pytest.mark.parametrize(
    ("name", "limits", "words"),
    [
        ("given", Limits(content=2), "larger than"),
        ("forever", Limits(seconds=1.0), "longer than 1 seconds"),
        ("asleep", Limits(seconds=1.0), "longer than 1 seconds"),
        ("memory", Limits(memory=2**30), "memory"),
        ("endless", Limits(answer=2**20), "more than can be taken"),
        ("dead", Limits(), "could not be read"),
        ("taken_over", Limits(), "could not be read"),
        ("files", Limits(), "damaged"),
        ("refusing", Limits(), "^One sentence.$"),
        ("broken", Limits(), "damaged"),
        ("nan", Limits(), "could not be read"),
        ("nothing_of_the_name", Limits(), "could not be read"),
    ],
)
def test_whatever_a_file_does_is_one_sentence(hostile, tmp_path, name, limits, words):
    with pytest.raises(SuperDiffError, match=words) as caught:
        read_apart(hostile + name, b"abc", limits)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir() if path.name == "here" and path.stat().st_size] == []


def test_a_process_that_is_no_longer_wanted_is_ended(hostile):
    reading = Reading(hostile + "asleep", b"", lambda found: found)
    assert not reading.finished.wait(0.3) and not reading.cancelling
    reading.cancel()
    assert reading.finished.wait(30) and reading.value is None and "cancelled" in reading.problem


def test_what_is_made_of_an_answer_may_fail_too(hostile):
    def refuse(found):
        raise SuperDiffError("Not that.")

    readings = [Reading(hostile + "given", b"ab", take) for take in (refuse, lambda found: 1 / 0, lambda found: found)]
    assert all(reading.finished.wait(60) for reading in readings)
    assert readings[0].problem == "Not that." and "could not be read" in readings[1].problem
    assert readings[2].value == {"length": 2, "options": {}} and not readings[2].problem


def test_no_more_than_two_at_once_and_a_waiting_one_can_be_cancelled(hostile):
    busy = [Reading(hostile + "asleep", b"", lambda found: found) for _ in range(2)]
    time.sleep(0.2)
    stop = threading.Event()
    stop.set()
    with pytest.raises(SuperDiffError, match="cancelled"):
        read_apart(hostile + "given", b"", cancelled=stop)
    for reading in busy:
        reading.cancel()
        assert reading.finished.wait(30)


def test_what_broke_a_reader_is_in_the_log_and_not_in_the_sentence(hostile, caplog):
    with pytest.raises(SuperDiffError, match="damaged") as told:
        read_apart(hostile + "broken", b"")
    assert "ZeroDivisionError" in caplog.text and "return 1 / 0" in caplog.text
    assert "Zero" not in str(told.value)


def test_the_readers_of_the_domains_start_without_torch():
    script = """
import runpy, sys
call = runpy.run_path(sys.argv[1])["_call"]
for domain, name in (("molecules", "read_plain"), ("proteins", "read_plain")):
    print("error" in call(f"superdiff_engine.domains.{domain}.reading:{name}", b"nothing", {}), "torch" in sys.modules)
"""
    asked = subprocess.run([sys.executable, "-c", script, sandbox.__file__], capture_output=True, text=True)
    assert asked.stdout.split() == ["True", "False"] * 2, asked.stderr
