"""Secrets in plaintext anywhere in the workspace: in unknown keys, comments, and files of any type that git would commit.

Only what is very probably one is reported: tokens by their issuers' own shapes, URLs with a password, and values of
password-like keys that are no reference, no placeholder and no plain word. No finding holds any part of the secret.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from olake_reconcile.diagnostics import Diagnostic, Severity
from olake_reconcile.spec.files import read_text
from olake_reconcile.spec.silence import is_allowed
from olake_reconcile.spec.text import SourceText
from olake_reconcile.spec.urls import password_spans

CODE = "possible-secret"

# What must be in a text for its pattern to be tried, in the text's own letters: looking for it costs next to nothing.
_TOKENS: tuple[tuple[str, str, str], ...] = (
    ("AKIA", r"\bAKIA[0-9A-Z]{16}\b", "an AWS access key"),
    ("ASIA", r"\bASIA[0-9A-Z]{16}\b", "an AWS access key"),
    ("gh", r"\bgh[pousr]_[A-Za-z0-9]{36,}\b", "a GitHub token"),
    ("github_pat_", r"\bgithub_pat_[A-Za-z0-9_]{50,}\b", "a GitHub token"),
    ("glpat-", r"\bglpat-[A-Za-z0-9_-]{20,}", "a GitLab token"),
    ("xox", r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}", "a Slack token"),
    ("hooks.slack.com", r"hooks\.slack\.com/services/T\w+/B\w+/\w+", "a Slack webhook"),
    ("AIza", r"\bAIza[0-9A-Za-z_-]{35}", "a Google API key"),
    ("sk_live_", r"\bsk_live_[0-9A-Za-z]{20,}", "a Stripe key"),
    ("dapi", r"\bdapi[0-9a-f]{32}\b", "a Databricks token"),
    ("PRIVATE KEY", r"-----BEGIN [A-Z ]*PRIVATE KEY-----", "a private key"),
    ("eyJ", r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}", "a signed token (JWT)"),
)
_PATTERNS = [(needle, re.compile(pattern), what) for needle, pattern, what in _TOKENS]
_NAMES = ("pass", "pwd", "secret", "token", "key", "credential")
_KEYED = re.compile(
    r"""(?im)(?<![\w${])["']?[\w.-]*(?:password|passwd|passphrase|(?<![a-z])pwd|secret|api_?key|access_?key|secret_?key"""
    r"""|auth_?token|access_?token|credentials?)["']?[ \t]*[:=][ \t]*("[^"\n]*"|'[^'\n]*'|[^\s#,;}\])]+)"""
)
_PLACEHOLDER = re.compile(
    r"(?i)^(?:[<{\[(*$%.]|x{3,}$|\.{3}|your|change|example|dummy|placeholder|todo|redacted|none|null|true|false|secret$"
    r"|password$|test$|env[:.]|vault:|op://|arn:|file:|/|https?://)|\$\{|\{\{|os\.environ|getenv|secrets\."
)
_SHORTEST = 6
_MOST_FILES = 20_000
_NOT_TEXT = frozenset(
    {".parquet", ".avro", ".db", ".png", ".jpg", ".gz", ".zip", ".pdf", ".lock", ".sqlite", ".plan"}
)


def plaintext_secrets(root: Path, found: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Return a warning for each line that probably holds a secret, but for those that `found` already complains of."""
    known = {(d.place.file, d.place.line) for d in found if d.place and d.code == "plaintext-secret"}
    findings = []
    for name in _committed(root):
        if os.path.splitext(name)[1].lower() in _NOT_TEXT:
            continue
        text = read_text(root, name)
        if isinstance(text, SourceText):
            findings += [d for d in _in(text) if (d.place and (d.place.file, d.place.line)) not in known]
    return findings


def _committed(root: Path) -> list[str]:
    """Return the files that git has or would take in; without git, all that are not hidden."""
    listing = "ls-files -z --cached --others --exclude-standard"
    command = ["git", "-C", str(root), *listing.split()]
    try:
        done = subprocess.run(command, capture_output=True, timeout=30, check=True)
        names = sorted(set(done.stdout.decode(errors="surrogateescape").split("\0")) - {""})
        files = [name for name in names if (root / name).is_file()]
    except (OSError, subprocess.SubprocessError):
        files = sorted(_walk(root))
    return [name for name in files if name.isprintable()][:_MOST_FILES]


def _walk(root: Path) -> Iterator[str]:
    for folder, folders, names in os.walk(root):
        folders[:] = [f for f in folders if not f.startswith(".") and f not in ("warehouse", "node_modules")]
        yield from (Path(folder, name).relative_to(root).as_posix() for name in names)


def _in(text: SourceText) -> Iterator[Diagnostic]:
    """Yield one finding per line, free of what was found."""
    seen: set[int] = set()
    for offset, what in sorted(_spans(text.text)):
        place = text.place(offset)
        if place.line in seen or is_allowed(text.text, offset, CODE):
            continue
        seen.add(place.line)
        message = f"this looks like {what}; whatever is committed stays in git's history"
        hint = f"write a reference such as ${{env:NAME}} and change the secret; if it is none: # lint: allow {CODE}"
        yield Diagnostic(Severity.WARNING, CODE, message, place, hint)


def _spans(text: str) -> Iterator[tuple[int, str]]:
    for needle, pattern, what in _PATTERNS:
        if needle in text:
            yield from ((m.start(), what) for m in pattern.finditer(text))
    if "://" in text:
        for start, end in password_spans(text):
            if not _PLACEHOLDER.search(text[start:end]):
                yield start, "a password in a URL"
    lowered = text.lower()
    if any(name in lowered for name in _NAMES):
        for match in _KEYED.finditer(text):
            if _is_secret(match.group(1)):
                yield match.start(1), "the value of a password"


def _is_secret(written: str) -> bool:
    """Whether a value of a password-like key is one: no reference, no placeholder, and more than a plain word."""
    value = written.strip("\"'")
    if len(value) < _SHORTEST or _PLACEHOLDER.search(value):
        return False
    # Code and prose name things after such a key: `password: str`, `token = self.token`, `secret: a reference`.
    kinds = [any(map(test, value)) for test in (str.islower, str.isupper, str.isdigit)]
    special = any(not c.isalnum() and c not in "_.-()" for c in value)
    return sum(kinds) + special >= 2 and (any(c.isdigit() for c in value) or special) and "(" not in value
