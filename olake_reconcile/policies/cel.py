"""Expressions in a child process: it has no environment, no files to speak of, and bounds of time and memory.

A hostile expression may crash its evaluator or nest loops for hours; then the child dies, the expression has failed, and a
new child answers the rest.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import orjson

from olake_reconcile.policies.base import Answer, Question

SECONDS = 10.0  # for one child; most need a fifth of one
_MOST_DEATHS = 3
_KILLED = "it was stopped: it takes too long, or too much memory"


class CelEngine:
    """The Common Expression Language, by a kept library, out of this process."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds

    def mistakes(self, expressions: Sequence[str]) -> list[str]:
        """Return for each expression why it is none, or an empty text."""
        return list(_mistakes(tuple(expressions), self._seconds))

    def answers(self, questions: Sequence[Question]) -> list[Answer]:
        """Return an answer to each question."""
        tasks = [{"when": q.when, "about": list(q.about)} for q in questions]
        found = _ask(tasks, self._seconds)
        return [
            Answer(frozenset(reply["true"]), {int(i): str(why) for i, why in reply["errors"].items()})
            if "failed" not in reply
            else Answer(errors=dict.fromkeys(range(len(q.about)), str(reply["failed"])))
            for q, reply in zip(questions, found, strict=True)
        ]


@lru_cache(maxsize=64)
def _mistakes(expressions: tuple[str, ...], seconds: float) -> tuple[str, ...]:
    replies = _ask([{"when": when} for when in expressions], seconds)
    return tuple(str(reply.get("failed", "")) for reply in replies)


def _ask(tasks: Sequence[dict[str, Any]], seconds: float) -> list[dict[str, Any]]:
    """Return a reply to each task, from as many children as it takes."""
    replies: list[dict[str, Any]] = []
    deaths = 0
    while len(replies) < len(tasks):
        if deaths == _MOST_DEATHS:
            # Whoever writes three such has written more: the rest is not tried, and fails too.
            replies += [{"failed": "not evaluated: too many others were stopped"}] * (
                len(tasks) - len(replies)
            )
            break
        replies += _replies(tasks[len(replies) :], seconds)
        if len(replies) < len(tasks):
            deaths += 1
            replies.append({"failed": _KILLED})
    return replies


def _replies(tasks: Sequence[dict[str, Any]], seconds: float) -> list[dict[str, Any]]:
    """Return the replies of one child, which may be too few."""
    # Isolated: neither the folder it stands in nor the environment says what Python imports.
    child = subprocess.Popen(
        [sys.executable, "-I", "-m", "olake_reconcile.policies.child", str(seconds)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={"LC_ALL": "C.UTF-8"},
        cwd="/",
    )
    try:
        output, _ = child.communicate(orjson.dumps(tasks), timeout=seconds + 5)
    except subprocess.TimeoutExpired:
        child.kill()
        output, _ = child.communicate()
    complete = output[: output.rfind(b"\n") + 1]
    return [orjson.loads(line) for line in complete.splitlines()][: len(tasks)]
