"""The process that sends one message: `url`, `title` and `body` on stdin as JSON. Its exit code says how it went."""

from __future__ import annotations

import logging
import sys

import orjson


def main() -> int:
    """Send what stdin holds; 0 when it was taken, 3 when the URL is none, 4 when nobody took it."""
    import apprise

    logging.disable()  # it logs URLs
    message = orjson.loads(sys.stdin.buffer.read())
    channel = apprise.Apprise()
    if not channel.add(message["url"]):
        return 3
    sent = channel.notify(body=message["body"], title=message["title"], body_format=apprise.NotifyFormat.TEXT)
    return 0 if sent else 4


if __name__ == "__main__":
    sys.exit(main())
