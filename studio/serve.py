"""How the studio is served: the pages of app.py, to browsers that opened them from this machine.

A browser lets any site send requests to 127.0.0.1, and a site that points its own name there (DNS rebinding) may even
read the answers. Streamlit itself checks the name on the page's websocket alone, and takes websockets from pages of any
other port of this machine. So every request is looked at here, before Streamlit sees it.
"""

from __future__ import annotations

import json
import re
import sys
import webbrowser
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import Any

import streamlit as st
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from studio.ending import ending_runs


def refusal(headers: Headers) -> str | None:
    """Why a request with these headers gets no answer, in a sentence; None where it does.

    Refused are names of this machine that are not in `server.allowedHosts`; requests of pages that another server sent,
    be it on another port; and being shown within such a page. A link from elsewhere may open the studio.
    """
    host, origin = headers.get("host", ""), headers.get("origin")
    name = re.fullmatch(r"([\w.-]+)(:\d+)?", host, re.ASCII)
    if name is None or name[1].lower() not in st.get_option("server.allowedHosts"):
        return "This name is not one of the studio's; open it at http://127.0.0.1 and its port."
    if origin is not None and origin not in (f"http://{host}", f"https://{host}"):
        return "The studio answers no requests from pages of other sites or ports."
    # What browsers say of a request that they send without an origin (https://www.w3.org/TR/fetch-metadata/).
    elsewhere = headers.get("sec-fetch-site") in ("cross-site", "same-site")
    opened = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    if elsewhere and not opened:
        return "The studio answers no requests from pages of other sites or ports; open it in a tab of its own."
    return None


class OwnPages:
    """Answers with 403 what `refusal` refuses, plain requests and websockets alike."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sentence = refusal(Headers(scope=scope)) if scope["type"] in ("http", "websocket") else None
        if sentence is None:
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})  # before it is accepted: HTTP 403
        else:
            await PlainTextResponse(sentence + "\n", status_code=403)(scope, receive, send)


def _import_torch() -> None:
    """The most of what every page imports, while the browser that asks for one still starts.

    None of this project's own modules: two threads that import those, which import each other, may find them half done.
    """
    with suppress(Exception):  # the page imports it again, and says what is wrong
        import_module("torch")


@asynccontextmanager
async def _begin(_: Any) -> AsyncIterator[dict[str, Any]]:
    Thread(target=_import_torch).start()
    # Streamlit opens no window for an application that has middleware.
    if not st.get_option("server.headless"):
        address = f"http://{st.get_option('browser.serverAddress')}:{st.get_option('server.port')}"
        Thread(target=webbrowser.open, args=(address,), daemon=True).start()
    yield {}


app = st.App(Path(__file__).with_name("app.py"), middleware=[Middleware(OwnPages)], lifespan=_begin)

if __name__ == "__main__":
    # The command line gives Streamlit's options as JSON. Ctrl+C is how the studio is ended, and no error.
    with suppress(KeyboardInterrupt), ending_runs():
        app.run(config=json.loads(sys.argv[1]))
