"""A GitLab server with one project and one merge request: notes, pipelines, and the artifact of its plan."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit


class Server(ThreadingHTTPServer):
    """What it knows: notes by id, the artifact, and the token that it takes."""

    def __init__(self, artifact: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.artifact = artifact
        self.notes: list[dict[str, Any]] = [{"id": n, "body": f"note {n}"} for n in range(1, 121)]
        self.token = "glpat-canary-31f0"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/api/v4"


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        path = parts.path.removeprefix("/api/v4/projects/7/")
        query = {k: v[0] for k, v in parse_qs(parts.query).items()}
        known: dict[str, Any] = {
            "repository/commits/c0ffee/merge_requests": [{"iid": 3}],
            "merge_requests/3/pipelines": [{"id": 12, "status": "failed"}, {"id": 11, "status": "success"}],
            "pipelines/11/jobs": [{"id": 20, "name": "lint"}, {"id": 21, "name": "lake plan"}],
        }
        if path == "merge_requests/3/notes":
            page, size = int(query["page"]), int(query["per_page"])
            more = str(page + 1) if len(self.server.notes) > page * size else ""
            self._answer(self.server.notes[(page - 1) * size : page * size], {"X-Next-Page": more})
        elif path == "jobs/21/artifacts/lake.plan":
            self._answer(self.server.artifact.read_bytes())
        else:
            self._answer(known[path])

    def do_POST(self) -> None:
        self.server.notes.append({"id": 500 + len(self.server.notes), "body": self._body()})
        self._answer({})

    def do_PUT(self) -> None:
        [note] = [n for n in self.server.notes if str(n["id"]) == self.path.rsplit("/", 1)[1]]
        note["body"] = self._body()
        self._answer({})

    def _body(self) -> str:
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        return parse_qs(text, keep_blank_values=True)["body"][0]

    def _answer(self, value: Any, headers: dict[str, str] | None = None) -> None:
        allowed = self.headers["PRIVATE-TOKEN"] == self.server.token
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(200 if allowed else 401)
        for name, text in {**(headers or {}), "Content-Length": str(len(content))}.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def a_gitlab(artifact: Path) -> Iterator[Server]:
    """Serve for as long as the context lasts."""
    server = Server(artifact)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
