"""superdiff studio."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from ..errors import SuperDiffError
from .console import console

LOOPBACK, PORT = "127.0.0.1", 8501


def studio(
    port: Annotated[int, typer.Option(help="TCP port on 127.0.0.1", min=1, max=65535)] = PORT,
    browser: Annotated[bool, typer.Option(help="open a browser window")] = True,
) -> None:
    """Open the studio in a browser, on 127.0.0.1 only."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            raise SuperDiffError(
                f"Port {port} is in use, perhaps by a studio that is open already at http://{LOOPBACK}:{port}. "
                f"Choose another one: superdiff studio --port {port + 1 if port < 65535 else 8501}"
            ) from None
    import studio as package

    script = Path(package.__file__).parent / "serve.py"
    # Said here as well as in the config file, which a file in the user's own folder would override.
    options = {
        "server.address": LOOPBACK,
        "server.port": port,
        "server.headless": not browser,
        "browser.gatherUsageStats": False,
        # Streamlit greets with advice for its own developers, in the terminal and over the page.
        "logger.hideWelcomeMessage": True,
    }
    command = [sys.executable, str(script), json.dumps(options)]
    console.print(f"SuperDiff Studio: http://{LOOPBACK}:{port} (Ctrl+C ends it)")
    sys.stdout.flush()  # what is still unwritten would be lost with this process
    # Streamlit looks for its configuration (themes, limits) in the folder it is started from.
    # Threads that wait for each other sleep instead of spinning: the page needs the cores too.
    environment = {"OMP_WAIT_POLICY": "PASSIVE"} | dict(os.environ)
    # The studio runs in its own folder: what was named from this one would not be found there.
    from ..domains.sources import FOLDERS_VARIABLE
    from ..system.library_folder import OLDER, VARIABLE

    for variable in (FOLDERS_VARIABLE, VARIABLE, OLDER):
        folders = [folder for folder in environment.pop(variable, "").split(os.pathsep) if folder]
        if folders:
            environment[variable] = os.pathsep.join(str(Path(folder).expanduser().resolve()) for folder in folders)
    if os.name == "posix":
        # In the place of this process: whoever stops it stops the server, and leaves no orphan on the port.
        os.chdir(script.parent)
        os.execve(sys.executable, command, environment)
    sys.exit(subprocess.call(command, cwd=script.parent, env=environment))
