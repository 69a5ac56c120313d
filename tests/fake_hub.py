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
        revision: the newest commit; `folder` is what it holds.
        older: folders of earlier commits.
        asked: (commit or branch, name) of every file that was asked for, contents or not.
    """

    def __init__(self, name: str, folder: Path, pause: float = 0.0, port: int = 0) -> None:
        self.name, self.folder, self.pause = name, folder, pause
        self.sent: list[str] = []
        self.revision, self.older = REVISION, dict[str, Path]()
        self.asked: list[tuple[str, str]] = []
        self.gate = threading.Event()
        self.gate.set()
        self._server = _Server(("127.0.0.1", port), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()

    def publish(self, revision: str, folder: Path) -> None:
        """A new commit; the one before can still be asked for."""
        self.older[self.revision] = self.folder
        self.revision, self.folder = revision, folder

    def files(self, revision: str = "main") -> dict[str, Path]:
        """The files of a commit or of the newest, by name; none where there is no such commit."""
        folder = self.folder if revision in ("main", self.revision) else self.older.get(revision)
        if folder is None:
            return {}
        return {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}

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
                api, resolve = f"/api/models/{hub.name}", f"/{hub.name}/resolve/"
                if path.startswith(resolve):
                    self.answer_file(*path.removeprefix(resolve).split("/", 1), body)
                elif path == api or path.startswith((f"{api}/tree/", f"{api}/revision/")):
                    revision = path.rpartition("/")[2] if path != api else "main"
                    sizes = {name: file.stat().st_size for name, file in hub.files(revision).items()}
                    if not sizes:
                        self.send_json({"error": "none"}, 404, {"X-Error-Code": "RevisionNotFound"})
                    elif "/tree/" in path:
                        self.send_json(
                            [{"type": "file", "path": name, "size": size, "oid": etag(name)}
                             for name, size in sizes.items()]
                        )  # fmt: skip
                    else:
                        siblings = [{"rfilename": name, "size": size} for name, size in sizes.items()]
                        sha = hub.revision if revision == "main" else revision
                        self.send_json({"id": hub.name, "sha": sha, "siblings": siblings})
                else:
                    self.send_json({"error": "none"}, 404, {"X-Error-Code": "RepoNotFound"})

            def answer_file(self, revision: str, name: str, body: bool) -> None:
                hub.asked.append((revision, name))
                files = hub.files(revision)
                if name in files:
                    self.send_file(files[name], name, hub.revision if revision == "main" else revision, body)
                else:
                    code = "EntryNotFound" if files else "RevisionNotFound"
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

            def send_file(self, file: Path, name: str, revision: str, body: bool) -> None:
                content = file.read_bytes()
                self.send_response(200)
                self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
                self.send_header("X-Repo-Commit", revision)
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
