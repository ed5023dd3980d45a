"""A webhook on loopback that keeps what it is sent, and fails or hangs when it is told to."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Webhook:
    """`url` is what apprise is given; `took` are the messages, in order."""

    def __init__(self) -> None:
        self.took: list[dict[str, Any]] = []
        self.status = 200
        self.answers = threading.Event()
        self.answers.set()
        self.asked = threading.Event()
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                webhook.asked.set()
                webhook.answers.wait(60)
                if webhook.status == 200:
                    webhook.took.append(json.loads(body))
                try:
                    self.send_response(webhook.status)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                except OSError:
                    pass  # whoever asked was tired of waiting

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"json://127.0.0.1:{self.server.server_address[1]}/canary-token-7a"


@contextmanager
def a_webhook() -> Iterator[Webhook]:
    """Serve a webhook as long as the context lasts."""
    webhook = Webhook()
    thread = threading.Thread(target=webhook.server.serve_forever)
    thread.start()
    try:
        yield webhook
    finally:
        webhook.answers.set()
        webhook.server.shutdown()
        webhook.server.server_close()
        thread.join()
