"""`/metrics` and `/healthz` over HTTP: on loopback for anybody there, beyond it with a token.

`/healthz` says no more than that, and needs no token: whoever probes a container has none.
"""

from __future__ import annotations

import hmac
import ipaddress
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from olake_reconcile.errors import ReconcileError, UsageError
from olake_reconcile.reconcile.metrics import Metrics

_CLIENT_SECONDS = 5  # for one who connects and says nothing
_MOST_CLIENTS = 16
_TEXT = "text/plain; charset=utf-8"
_EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"


@contextmanager
def serving(metrics: Metrics, listen: str, token: str | None) -> Iterator[str]:
    """Serve as long as the context lasts; yields the address, with the port that was got where 0 was asked for.

    Raises `UsageError` for an address beyond loopback without a token, `ReconcileError` for one that cannot be had.
    """
    host, port = _address(listen)
    if not _is_loopback(host) and not token:
        raise UsageError(
            f"Metrics on {listen} could be read by anybody who reaches this machine",
            why="They name jobs, and how they fare. Beyond loopback they need a token.",
            remedy='In olake.yaml, below kind: Project: metrics: {token: "${env:METRICS_TOKEN}"}',
        )
    try:
        server = _Server((host, port), _handler(metrics, token), v6=":" in host)
    except OSError as error:
        raise ReconcileError(
            f"Nothing can listen on {listen}: {error.strerror or error}",
            remedy="Choose another address: olake-reconcile run --metrics-listen 127.0.0.1:0",
        ) from None
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    try:
        shown = f"[{host}]" if ":" in host else host
        yield f"{shown}:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def _address(listen: str) -> tuple[str, int]:
    host, colon, port = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (colon and host and port.isascii() and port.isdecimal() and int(port) < 65_536):
        raise UsageError(f"'{listen}' is no HOST:PORT", remedy="Write --metrics-listen 127.0.0.1:9464.")
    return host, int(port)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler], *, v6: bool) -> None:
        self.address_family = socket.AF_INET6 if v6 else socket.AF_INET
        self._places = threading.BoundedSemaphore(_MOST_CLIENTS)
        super().__init__(address, handler)

    def server_bind(self) -> None:
        """Bind without asking a name server who we are."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        socket.socket.bind(self.socket, self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve it in a thread, of which there are so many and no more."""
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve it, and give its place back."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no news."""


def _handler(metrics: Metrics, token: str | None) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _CLIENT_SECONDS
        server_version = "olake-reconcile"
        sys_version = ""

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/healthz":
                trouble = metrics.health()
                status = HTTPStatus.SERVICE_UNAVAILABLE if trouble else HTTPStatus.OK
                self._answer(status, (trouble or "ok").encode() + b"\n")
            elif path != "/metrics":
                self._answer(HTTPStatus.NOT_FOUND, b"There are /metrics and /healthz.\n")
            elif not self._is_allowed():
                self._answer(HTTPStatus.UNAUTHORIZED, b"A token is needed: Authorization: Bearer ...\n")
            else:
                self._show()

        def _show(self) -> None:
            try:
                text = metrics.text()
            except Exception:  # noqa: BLE001  whatever the store says is for the loop's own log
                self._answer(HTTPStatus.SERVICE_UNAVAILABLE, b"the state store does not answer\n")
            else:
                self._answer(HTTPStatus.OK, text, _EXPOSITION)

        def _is_allowed(self) -> bool:
            if not token:
                return True
            given = self.headers.get("Authorization") or ""
            return hmac.compare_digest(given.encode("utf-8", "replace"), f"Bearer {token}".encode())

        def _answer(self, status: HTTPStatus, body: bytes, kind: str = _TEXT) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            if status is HTTPStatus.UNAUTHORIZED:
                self.send_header("WWW-Authenticate", "Bearer")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass  # a line for each scrape is nobody's business

    return Handler
