"""GitHub's command line, for the steps of workflows: answers from files, remembers what it was asked.

`$GH_WORLD` holds `comments.json`, `pulls.json`, `runs.json` and a folder `artifact`. Expressions go through the real jq.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

WORLD = Path(os.environ["GH_WORLD"])


def main(words: list[str]) -> None:
    assert os.environ["GH_TOKEN"]
    with (WORLD / "calls").open("a") as calls:
        calls.write(json.dumps(words) + "\n")
    options = {words[i]: words[i + 1] for i in range(len(words) - 1) if words[i].startswith("-")}
    match words:
        case ["api", *_] if options.get("--method") in ("POST", "PATCH"):
            comment(options["--method"], next(w for w in words if w.startswith("repos/")), options["-F"])
        case ["api", *_]:
            name = "comments" if any(w.endswith("/comments") for w in words) else "pulls"
            answer(f"{name}.json", options["--jq"])
        case ["run", "list", *_]:
            answer("runs.json", options["--jq"])
        case ["run", "download", *_]:
            shutil.copytree(WORLD / "artifact", options["--dir"])
        case _:
            raise AssertionError(words)


def answer(name: str, expression: str) -> None:
    subprocess.run(["jq", "--raw-output", expression, str(WORLD / name)], check=True)


def comment(method: str, path: str, field: str) -> None:
    comments = json.loads((WORLD / "comments.json").read_text())
    body = Path(field.removeprefix("body=@")).read_text()
    if method == "POST":
        comments.append({"id": 100 + len(comments), "user": {"login": "github-actions[bot]"}, "body": body})
    else:
        [known] = [c for c in comments if str(c["id"]) == path.rsplit("/", 1)[1]]
        known["body"] = body
    (WORLD / "comments.json").write_text(json.dumps(comments))


main(sys.argv[1:])
