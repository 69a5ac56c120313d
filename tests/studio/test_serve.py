"""Who may open the studio: real requests, plain and of websockets, with the names and origins that browsers send."""

import http.client
import os
import socket
import subprocess
import sys
import time

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    """Of a studio that the command line started."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("studio")
    command = [sys.executable, "-m", "superdiff_engine.cli.app", "studio", "--port", str(port), "--no-browser"]
    environment = os.environ | {"SUPERDIFF_LIBRARY": str(folder / "runs"), "HOME": str(folder)}
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        for _ in range(600):
            assert server.poll() is None, (folder / "log").read_text()
            try:
                assert get(port, f"127.0.0.1:{port}", "/_stcore/health") == 200
                break
            except OSError:
                time.sleep(0.1)
        yield port
    finally:
        server.terminate()
        server.wait(20)


def get(port, host, path="/", method="GET", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.putrequest(method, path, skip_host=True)
    for name, value in {"Host": host, **headers}.items():
        connection.putheader(name.replace("_", "-"), value)
    connection.endheaders()
    status = connection.getresponse().status
    connection.close()
    return status


PATHS = ["/", "/_stcore/health", "/_stcore/host-config", "/media/nothing.png", "/static/index.js"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example", "localhost.evil.example", "127.0.0.2", "0.0.0.0",
     "[::1]:{port}", "localhost@evil.example", "evil.example@127.0.0.1", "127.0.0.1:x", "127.0.0.1/evil", ""],
)  # fmt: skip
def test_another_name_for_this_machine_gets_no_answer(port, host, path):
    assert get(port, host.format(port=port), path) == 403


def test_its_own_names_are_answered(port):
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", "LOCALHOST", "127.0.0.1"):
        assert get(port, host) == 200


def test_pages_of_other_sites_and_ports_get_no_answer(port):
    own = f"127.0.0.1:{port}"
    for origin in ("http://evil.example", f"http://127.0.0.1:{port + 1}", f"http://localhost:{port}", "null", ""):
        assert get(port, own, "/_stcore/host-config", Origin=origin) == 403
        assert get(port, own, "/_stcore/upload_file/a/b", "PUT", Origin=origin) == 403
    assert get(port, own, "/_stcore/host-config", Origin=f"http://{own}") == 200
    # Without an origin, as browsers ask for pictures, scripts and frames: another port is the same site to them.
    for site in ("cross-site", "same-site"):
        assert get(port, own, Sec_Fetch_Site=site, Sec_Fetch_Mode="no-cors", Sec_Fetch_Dest="image") == 403
        assert get(port, own, Sec_Fetch_Site=site, Sec_Fetch_Mode="navigate", Sec_Fetch_Dest="iframe") == 403
        assert get(port, own, Sec_Fetch_Site=site, Sec_Fetch_Mode="navigate", Sec_Fetch_Dest="document") == 200
    assert get(port, own, Sec_Fetch_Site="same-origin", Sec_Fetch_Mode="cors", Sec_Fetch_Dest="empty") == 200


def stream(port, host, origin):
    """The status with which the page's websocket is refused; 101 where it opens."""
    try:
        # The name is resolved here, as a rebound one is: the connection goes to this machine.
        with (
            socket.create_connection(("127.0.0.1", port)) as tcp,
            connect(f"ws://{host}/_stcore/stream", sock=tcp, origin=origin, subprotocols=["streamlit"]),
        ):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


def test_the_websocket_opens_for_the_studios_own_page_only(port):
    own = f"127.0.0.1:{port}"
    assert stream(port, own, f"http://{own}") == 101
    assert stream(port, f"localhost:{port}", f"http://localhost:{port}") == 101
    for host, origin in (
        (own, "http://evil.example"),
        (own, f"http://127.0.0.1:{port + 1}"),
        (own, f"http://localhost:{port}"),
        (own, "null"),
        (f"evil.example:{port}", f"http://evil.example:{port}"),
        (f"evil.example:{port}", f"http://{own}"),
    ):
        assert stream(port, host, origin) == 403
