"""Durations: `45s`, `30m`, `1h30m`, `7d`, `2w`; inside the program they are seconds."""

from __future__ import annotations

import re

_DURATION = re.compile(r"(?:[0-9]{1,9}[smhdw])+\Z")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
MAX_SECONDS = 10 * 366 * 86_400


class BadDuration(ValueError):
    """The text is no duration; the message says what is expected."""

    def __init__(self, message: str, *, too_long: bool = False) -> None:
        super().__init__(message)
        self.too_long = too_long


def parse_duration(text: str) -> int:
    """Return the seconds that `text` stands for. Raises `BadDuration`."""
    if not _DURATION.match(text):
        raise BadDuration(f"'{text}' is not a duration: write 45s, 30m, 1h30m, 7d or 2w")
    seconds = sum(int(n) * _UNITS[u] for n, u in re.findall(r"([0-9]+)([smhdw])", text))
    if seconds > MAX_SECONDS:
        raise BadDuration(f"'{text}' is longer than ten years", too_long=True)
    return seconds
