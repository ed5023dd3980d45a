"""Variables: `${var:NAME}` in parsed scalars, declared in the Project with their defaults.

They are settings, never secrets: their values are put in before anything else is read, and plans show them. A value may
be a reference itself (`${env:…}`), which then stands where the variable stood.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from olake_reconcile.diagnostics import Severity, did_you_mean
from olake_reconcile.errors import UsageError
from olake_reconcile.model.reference import Reference
from olake_reconcile.secrets import Secrets, UnsetReference
from olake_reconcile.spec.environment import VARIABLE_PREFIX, Environment
from olake_reconcile.spec.report import Document, Report, described, quoted

if TYPE_CHECKING:
    from olake_reconcile.spec.text import SourceText

Value = str | int | float | bool

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}\Z")
# `$$` is a dollar: what follows one is no reference.
_TOKEN = re.compile(r"\$\$|\$\{var:([^}]*)\}")


@dataclass(frozen=True, slots=True)
class Variables:
    """The declared variables; None is one without a value, which is wrong where it is used."""

    values: Mapping[str, Value | None] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.values)

    @classmethod
    def read(
        cls,
        declared: Mapping[str, tuple[Any, SourceText, int]],
        over: Mapping[str, tuple[Any, SourceText, int]],
        environment: Environment,
        secrets: Secrets,
        report: Report,
    ) -> Variables:
        """Return the variables after complaining about what cannot be one. Raises `UsageError` for a flag that fits none."""
        values: dict[str, Value | None] = {}
        for name, (value, text, at) in declared.items():
            values[name] = _checked(name, value, text, at, report)
        for name, (value, text, at) in over.items():
            if name not in declared:
                message = f"no variable is called {quoted(name)}: variables are declared in olake.yaml"
                report.add(
                    Severity.ERROR, "unknown-variable", message, text, at, did_you_mean(name, declared)
                )
            elif value is not None:
                values[name] = _checked(name, value, text, at, report)
        for name in declared:
            given = _from_outside(name, secrets)
            if given is not None:
                values[name] = given
        for name, given in environment.variables.items():
            if name not in declared:
                hint = did_you_mean(name, declared)
                raise UsageError(
                    f"no variable is called '{name}'" + (f" ({hint})" if hint else ""),
                    remedy="Declare it in olake.yaml: variables: {" + name + ": default}.",
                )
            values[name] = given
        return cls(values)

    def put_in(self, document: Document, value: str, offset: int, *, typed: bool) -> Any:
        """Return a scalar with its variables put in; complain about those that have no value.

        With `typed`, one that is nothing but a variable gets the value as it was declared.
        """
        if "${var:" not in value:
            return value
        whole = _TOKEN.fullmatch(value)
        if typed and whole is not None and whole.group(1) is not None:
            found = self._look_up(document, whole.group(1), offset)
            return value if found is None else found
        return _TOKEN.sub(lambda match: self._text(document, match, offset), value)

    def _text(self, document: Document, match: re.Match[str], offset: int) -> str:
        if match.group(1) is None:
            return match.group()
        found = self._look_up(document, match.group(1), offset)
        if isinstance(found, bool):
            return "true" if found else "false"
        # A place that was complained about: anything that is no reference will do.
        return "" if found is None else str(found)

    def _look_up(self, document: Document, name: str, offset: int) -> Value | None:
        if name not in self.values:
            message = f"no variable is called {quoted(name)}"
            hint = did_you_mean(name, self.values) or "declare it in olake.yaml: variables: {NAME: default}"
            document.error(offset, "unknown-variable", message, hint)
            return None
        if self.values[name] is None:
            message = f"variable {quoted(name)} has no value here"
            hint = f"set it with --var {name}=…, {VARIABLE_PREFIX}{name}, or in the environment's overlay"
            document.error(offset, "unset-variable", message, hint)
        return self.values[name]


def _checked(name: str, value: Any, text: SourceText, at: int, report: Report) -> Value | None:
    if not NAME.match(name):
        message = f"{quoted(name)} is not a variable's name: letters, digits and '_', no digit first"
        report.add(Severity.ERROR, "bad-name", message, text, at)
    elif isinstance(value, str) and "${var:" in value:
        report.add(Severity.ERROR, "bad-reference", "a variable's value holds no other variable", text, at)
    elif value is None or isinstance(value, str | int | float | bool):
        return value
    else:
        message = f"{quoted(name)} is text, a number, true or false, not {described(value)}"
        report.add(Severity.ERROR, "wrong-type", message, text, at)
    return None


def _from_outside(name: str, secrets: Secrets) -> Value | None:
    """Return what the process's environment says."""
    try:
        return secrets.resolve(Reference("env", VARIABLE_PREFIX + name), sensitive=False)
    except UnsetReference:
        return None
