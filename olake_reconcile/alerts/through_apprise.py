"""Messages in a child process: whatever a webhook does, it is over after some seconds, and holds nothing up.

The child also keeps the library's imports, and what it writes to its log (URLs among it), out of this process.
"""

from __future__ import annotations

import os
import subprocess
import sys

import orjson

SECONDS = 20.0

# How the machine reaches the network; nothing else of the environment is the child's business.
_PASSED = (
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "TZ",
)  # fmt: skip
_REASONS = {3: "its URL is none that apprise knows", 4: "it did not take the message"}


class AppriseSender:
    """The apprise library, out of this process."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds

    def send(self, url: str, title: str, body: str) -> str:
        """Deliver a message; return why it was not, or an empty text."""
        message = orjson.dumps({"url": url, "title": title, "body": body})
        environment = {name: os.environ[name] for name in _PASSED if name in os.environ}
        try:
            # The URL goes through a pipe: anybody may read command lines. `-I`: no folder says what Python imports.
            done = subprocess.run(
                [sys.executable, "-I", "-m", "olake_reconcile.alerts.child"],
                input=message,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={"LC_ALL": "C.UTF-8", **environment},
                cwd="/",
                timeout=self._seconds,
                check=False,
                start_new_session=True,  # a Ctrl-C at the loop's terminal is not for it
            )
        except subprocess.TimeoutExpired:
            return f"it did not answer within {self._seconds:.0f} seconds"
        except OSError as error:
            return f"no process could be started: {error.strerror}"
        return "" if done.returncode == 0 else _REASONS.get(done.returncode, "apprise failed")
