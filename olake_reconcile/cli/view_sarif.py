"""Findings as SARIF 2.1.0, for code scanning: one run, one rule per code, places relative to the workspace.

Columns count UTF-16 code units there unless a run says otherwise; ours count characters, and the run says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from olake_reconcile import __version__
from olake_reconcile.diagnostics import Diagnostic, Severity
from olake_reconcile.model.fingerprint import fingerprint

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "note"}


def sarif(diagnostics: Sequence[Diagnostic], prefix: str = "") -> dict[str, Any]:
    """Return the findings as a SARIF log. `prefix` is where the workspace is below the checkout: `lake/`, or nothing."""
    codes = sorted({d.code for d in diagnostics})
    index = {code: number for number, code in enumerate(codes)}
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "olake-reconcile",
                        "semanticVersion": __version__,
                        "rules": [_rule(code) for code in codes],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "results": [_result(d, index[d.code], prefix) for d in diagnostics],
            }
        ],
    }


def _rule(code: str) -> dict[str, Any]:
    words = code.replace("-", " ")
    return {
        "id": code,
        "shortDescription": {"text": f"{words[0].upper()}{words[1:]}"},
        "help": {"text": f"docs/errors.md says what {code} means and what to do about it."},
    }


def _result(diagnostic: Diagnostic, rule: int, prefix: str) -> dict[str, Any]:
    hint = f" ({diagnostic.hint})" if diagnostic.hint else ""
    file = diagnostic.place.file if diagnostic.place else ""
    result: dict[str, Any] = {
        "ruleId": diagnostic.code,
        "ruleIndex": rule,
        "level": _LEVELS[diagnostic.severity],
        "message": {"text": f"{diagnostic.message}{hint}"},
        # The same while the line moves up and down, so that a scan knows a finding again.
        "partialFingerprints": {"finding/v1": fingerprint([diagnostic.code, diagnostic.message, file])},
    }
    if place := diagnostic.place:
        location = {
            "artifactLocation": {"uri": quote(prefix + place.file)},
            "region": {"startLine": place.line, "startColumn": place.column},
        }
        result["locations"] = [{"physicalLocation": location}]
    return result
