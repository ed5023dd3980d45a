"""The port through which expressions are compiled and evaluated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Question:
    """One expression, and the sets of values (JSON types) that it is asked about."""

    when: str
    about: Sequence[Values]


@dataclass(frozen=True, slots=True)
class Answer:
    """For which of a question's sets of values the expression is true, and why it could not say so of others."""

    true: frozenset[int] = frozenset()
    errors: Mapping[int, str] = field(default_factory=dict)


class PolicyEngine(Protocol):
    """Evaluates expressions: no input or output of their own, bounded time and memory, never raising for what they do."""

    def mistakes(self, expressions: Sequence[str]) -> list[str]:
        """Return for each expression why it is none, or an empty text."""
        ...

    def answers(self, questions: Sequence[Question]) -> list[Answer]:
        """Return an answer to each question; whatever goes wrong is an error in it for each set that it concerns."""
        ...


class NoPolicyEngine:
    """Where nobody can evaluate: every policy fails, and what fails denies."""

    def mistakes(self, expressions: Sequence[str]) -> list[str]:
        """Return that none can be compiled."""
        return ["policies cannot be evaluated here"] * len(expressions)

    def answers(self, questions: Sequence[Question]) -> list[Answer]:
        """Return an error for each set of values."""
        return [
            Answer(errors=dict.fromkeys(range(len(q.about)), "cannot be evaluated here")) for q in questions
        ]
