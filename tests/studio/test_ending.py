"""A server of the studio that is stopped: its runs end as a cancel ends them, with their records."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg
from websockets.sync.client import connect

import studio

#: A page that runs something long: what a press of Run does, without a browser.
PAGE = """
import streamlit as st
from studio.session import registry
from superdiff_engine.recipe import make_recipe
if "job" not in st.session_state:
    experts = [{"model": "ring"}, {"model": "grid"}]
    recipe = make_recipe({"domain": "plane", "experts": experts, "levels": {"steps": 10_000}, "batch": 256})
    st.session_state["job"] = registry().submit(recipe).id
    st.session_state["next"] = registry().submit(recipe).id
"""


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_a_server_that_is_stopped_keeps_what_its_runs_made(tmp_path, name):
    (tmp_path / "app.py").write_text(PAGE)
    shutil.copy(Path(studio.__file__).with_name("serve.py"), tmp_path)  # which serves the app beside it
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = {"server.port": port, "server.headless": True, "server.address": "127.0.0.1"}
    options["server.allowedHosts"] = ["127.0.0.1"]
    command = [sys.executable, "serve.py", json.dumps(options)]
    environment = os.environ | {"SUPERDIFF_LIBRARY": str(tmp_path / "runs"), "HOME": str(tmp_path)}
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    server = subprocess.Popen(command, env=environment, cwd=tmp_path, text=True, **pipes)
    try:
        limit = time.monotonic() + 100
        while True:
            assert time.monotonic() < limit and server.poll() is None
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=5).close()
                break
            except OSError:
                time.sleep(0.1)
        opened = BackMsg()
        opened.rerun_script.query_string = ""
        with connect(f"ws://127.0.0.1:{port}/_stcore/stream", subprotocols=["streamlit"]) as tab:
            tab.send(opened.SerializeToString())
            while not list(tmp_path.glob("runs/*/recipe.json")):
                assert time.monotonic() < limit
                time.sleep(0.05)
            time.sleep(0.5)
            server.send_signal(getattr(signal, name))
            output, _ = server.communicate(timeout=60)
    finally:
        server.kill()
        server.communicate()
    # The second one waited, made nothing, and waits for the next server.
    folder, queue = sorted((tmp_path / "runs").iterdir())
    (kept,) = json.loads(next(queue.glob("*.json")).read_text())["entries"]
    assert queue.name == "queue" and kept["id"] != folder.name and not kept["begun"]
    assert json.loads((folder / "status.json").read_text())["state"] == "cancelled"
    assert (folder / "samples.npz").is_file() and not list(folder.glob(".*"))
    assert "Traceback" not in output
    assert not Path(f"/proc/{server.pid}").exists()
