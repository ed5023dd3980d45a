"""Names that would be markup, mentions, references, commands or lies where they are shown."""

from __future__ import annotations

import json

NAMES = [
    "x|y", "`@team`", "a,b:c%", "😀 emoji", "\u202eRTL", "\u200fmark", "@everyone", "<script>alert(1)</script>",
    "<!-- comment -->", "![i](https://evil.example/x.png)", "[click](javascript:alert(1))", "#123", "GH-1", "owner/repo#4",
    "www.evil.example", "https://evil.example", "mail@evil.example", "</details></code>", "```````` fence", "~~~~", "**bold**",
    "_under_", "a\\|b", "\\`", "&lt;b&gt;", "&#64;team", "::error::x", "##[add-mask]x", "$(touch x)", "tab\there",
    "\x1b[31mred", "%0A::set-output name=x::y", "| --- | --- |", "> [!CAUTION]", "---", "- [ ] task", "1. one", "é̂",
    "{{ 7*7 }}", "${{ secrets.X }}", "x" * 400,
]  # fmt: skip


def job_yaml(partition: str = "", names: list[str] = NAMES) -> str:
    """Return a job whose streams have these names, and tables of their own; its owner is one to mention."""
    lines = [
        "kind: Job",
        "name: daily",
        'owner: "@acme/`data`|<b>"',
        "stream_defaults: {sync_mode: full_refresh, destination_database: sales}",
        "streams:",
    ]
    for number, name in enumerate(names):
        lines.append(
            f"  {json.dumps('public.' + name, ensure_ascii=False)}: {{destination_table: t{number:03}{partition}}}"
        )
    return "\n".join(lines) + "\n"


WORLD = {"sources": {f"public.{name}": 10 + number for number, name in enumerate(NAMES)}}
