"""A model hub of one repository on this machine, which hands out its files a piece at a time."""

import hashlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

REVISION = "0123456789abcdef0123456789abcdef01234567"
PIECE = 1 << 16


class FakeHub:
    """Serves `folder` as the repository `name`, as far as huggingface_hub asks, until it is closed.

    Attributes:
        sent: names of the files whose contents were asked for.
        pause: seconds after every piece of 64 kB.
        gate: pieces beyond the first of a file wait for this event.
    """

    def __init__(self, name: str, folder: Path, pause: float = 0.0, port: int = 0) -> None:
        self.name, self.folder, self.pause = name, folder, pause
        self.sent: list[str] = []
        self.gate = threading.Event()
        self.gate.set()
        self._server = _Server(("127.0.0.1", port), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()

    def files(self) -> dict[str, Path]:
        return {str(path.relative_to(self.folder)): path for path in sorted(self.folder.rglob("*")) if path.is_file()}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args: object) -> None:
                pass

            def do_HEAD(self) -> None:
                self.answer(body=False)

            def do_GET(self) -> None:
                self.answer(body=True)

            def answer(self, body: bool) -> None:
                path = unquote(urlsplit(self.path).path)
                files = hub.files()
                sizes = {name: file.stat().st_size for name, file in files.items()}
                api, resolve = f"/api/models/{hub.name}", f"/{hub.name}/resolve/"
                if path == f"{api}/tree/{REVISION}":
                    tree = [{"type": "file", "path": name, "size": sizes[name], "oid": etag(name)} for name in files]
                    self.send_json(tree)
                elif path in (api, f"{api}/revision/main"):
                    siblings = [{"rfilename": name, "size": size} for name, size in sizes.items()]
                    self.send_json({"id": hub.name, "sha": REVISION, "siblings": siblings})
                elif path.startswith(resolve) and path.removeprefix(resolve).partition("/")[2] in files:
                    self.send_file(files[path.removeprefix(resolve).partition("/")[2]], body)
                else:
                    code = "EntryNotFound" if path.startswith(resolve) else "RepoNotFound"
                    self.send_json({"error": code}, 404, {"X-Error-Code": code})

            def send_json(self, content: object, status: int = 200, headers: dict[str, str] | None = None) -> None:
                text = json.dumps(content).encode()
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(text)

            def send_file(self, file: Path, body: bool) -> None:
                content = file.read_bytes()
                name = str(file.relative_to(hub.folder))
                self.send_response(200)
                self.send_header("ETag", f'"{etag(name)}"')
                self.send_header("X-Repo-Commit", REVISION)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if not body:
                    return
                hub.sent.append(name)
                for start in range(0, len(content), PIECE):
                    if start:
                        hub.gate.wait()
                        time.sleep(hub.pause)
                    self.wfile.write(content[start : start + PIECE])
                    self.wfile.flush()

        return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up in the middle is what some tests are about."""


def etag(name: str) -> str:
    return hashlib.sha1(name.encode()).hexdigest()
