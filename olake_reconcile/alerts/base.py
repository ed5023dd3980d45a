"""The port through which alerts leave."""

from __future__ import annotations

from typing import Protocol


class Sender(Protocol):
    """Takes messages to where URLs say."""

    def send(self, url: str, title: str, body: str) -> str:
        """Deliver a message; return why it was not, or an empty text. Returns within seconds, and raises nothing.

        Neither the URL nor what the other side said is in the answer: both may hold secrets.
        """
        ...
