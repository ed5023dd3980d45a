"""The program's own log on stderr: text or JSON, a line per happening, with action, job, stream and run. No secret."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from olake_reconcile.errors import ReconcileError
from olake_reconcile.model.event import Level

if TYPE_CHECKING:
    from olake_reconcile.reconcile.notice import Notice

FORMATS = ("text", "json")

_ROOT = logging.getLogger("olake_reconcile")
_NAMES = {logging.DEBUG: "debug", logging.INFO: "info", logging.WARNING: "warning", logging.ERROR: "error"}
_LEVELS = {Level.INFO: logging.INFO, Level.WARNING: logging.WARNING, Level.ERROR: logging.ERROR}

Redact = Callable[[str], str]


class _Handler(logging.Handler):
    """Writes lines to stderr as it is now: tests and shells put another one in its place."""

    def __init__(self, style: str, redact: Redact) -> None:
        super().__init__()
        self.style = style
        self._redact = redact

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self._json(record) if self.style == "json" else self._text(record)
            sys.stderr.write(self._redact(line) + "\n")
            sys.stderr.flush()
        except (OSError, ValueError):
            pass  # a reader that went away, a closed terminal: a log must not end what it tells of

    def _json(self, record: logging.LogRecord) -> str:
        document = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": _NAMES.get(record.levelno, record.levelname.lower()),
            **_fields(record),
            "message": record.getMessage(),
        }
        return json.dumps(document, ensure_ascii=False)

    def _text(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC)
        fields = _fields(record)
        where = "/".join(str(fields[key]) for key in ("job", "stream") if fields.get(key))
        level = _NAMES.get(record.levelno, record.levelname.lower())
        head = f"{moment:%Y-%m-%d %H:%M:%S} {level:<7} "
        return head + (f"{where}: " if where else "") + record.getMessage()


def configure(style: str, verbosity: int, redact: Redact) -> None:
    """Send the program's log to stderr: warnings in text mode; with `-v` or as JSON what happens, with `-vv` all."""
    for handler in list(_ROOT.handlers):
        _ROOT.removeHandler(handler)
    level = logging.DEBUG if verbosity > 1 else logging.INFO
    if style == "text" and not verbosity:
        # What people are told in words anyway is not told twice.
        _ROOT.addHandler(logging.NullHandler())
        _ROOT.propagate = False
        return
    _ROOT.addHandler(_Handler(style, redact))
    _ROOT.setLevel(level)
    _ROOT.propagate = False


def told_as_json() -> bool:
    """Whether stderr is for programs: then nothing but JSON goes there."""
    return any(isinstance(h, _Handler) and h.style == "json" for h in _ROOT.handlers)


def log_notice(notice: Notice) -> bool:
    """Log what a loop tells, where that is for programs; tell whether it was."""
    if not told_as_json():
        return False
    fields: dict[str, Any] = {"action": notice.action}
    if notice.job:
        fields["job"] = notice.job
    if notice.run:
        fields |= {"run": notice.run.id, "status": notice.run.status.value, "rows": notice.run.rows}
    _ROOT.log(_LEVELS[notice.level], "%s", notice.message, extra={"fields": fields})
    return True


def log_error(error: ReconcileError) -> bool:
    """Log what ends the command, where stderr is for programs; tell whether it was."""
    if not told_as_json():
        return False
    fields = {"action": "error", "exit_code": int(error.exit_code), "why": error.why, "remedy": error.remedy}
    _ROOT.error("%s", error.summary, extra={"fields": {k: v for k, v in fields.items() if v != ""}})
    return True


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of the log."""
    command = click.option(
        "--log-format",
        type=click.Choice(FORMATS),
        default="text",
        envvar="OLAKE_LOG_FORMAT",
        help="Progress and log on stderr for people, or as JSON lines for programs.",
    )(command)
    return click.option("-v", "--verbose", count=True, help="Say on stderr what happens.")(command)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields = getattr(record, "fields", None)
    return dict(fields) if isinstance(fields, dict) else {}
