"""The process that evaluates expressions: tasks in on stdin as JSON, a reply a line on stdout."""

from __future__ import annotations

import re
import resource
import sys
from collections.abc import Iterator
from typing import Any

import orjson

LONGEST = 4000  # characters of an expression
_MEMORY = 2 * 1024**3
_NAMES = ("change", "job", "plan")
# What a macro's variable is called: `reasons.exists(r, …)`.
_BOUND = re.compile(r"\.(?:all|exists|exists_one|map|filter)\s*\(\s*([A-Za-z_]\w*)\s*,")


def main() -> None:
    """Answer what stdin asks, within bounds that the kernel keeps."""
    seconds = max(1, round(float(sys.argv[1])))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    for task in orjson.loads(sys.stdin.buffer.read()):
        sys.stdout.buffer.write(orjson.dumps(_reply(task)) + b"\n")
        sys.stdout.buffer.flush()


def _reply(task: dict[str, Any]) -> dict[str, Any]:
    program, mistake = _compiled(task["when"])
    if mistake:
        return {"failed": mistake}
    true: list[int] = []
    errors: dict[str, str] = {}
    for index, values in enumerate(task.get("about", ())):
        outcome = _outcome(program, values)
        if outcome is True:
            true.append(index)
        elif outcome is not False:
            errors[str(index)] = outcome
    return {"true": true, "errors": errors}


def _compiled(text: str) -> tuple[Any, str]:
    import cel

    if len(text) > LONGEST:
        return None, f"it is longer than {LONGEST:,} characters"
    try:
        program = cel.compile(text)
        unknown = sorted({*program.variables()} - {*_NAMES, *_BOUND.findall(text)})
    except BaseException as error:  # noqa: BLE001 - the library may panic, which is no Exception
        return None, _first_line(error)
    return program, "" if not unknown else f"unknown name '{unknown[0]}': there are {', '.join(_NAMES)}"


def _outcome(program: Any, values: dict[str, Any]) -> bool | str:
    try:
        found = program.execute(values)
    except BaseException as error:  # noqa: BLE001
        return _first_line(error)
    return found if isinstance(found, bool) else f"it is neither true nor false, but {type(found).__name__}"


def _first_line(error: BaseException) -> str:
    text = next(iter(_sentences(str(error))), type(error).__name__)
    return f"no such key: {text}" if isinstance(error, KeyError) else text


def _sentences(text: str) -> Iterator[str]:
    for line in text.splitlines():
        # The parser says what it expected at length, and repeats the expression.
        shown = re.sub(r"^Failed to parse expression .*?: ERROR: <input>:", "", line)
        shown = re.split(r" expecting \{|\. CEL does not|\. Check that", shown)[0]
        if shown.strip():
            yield shown.strip()[:200]


if __name__ == "__main__":
    main()
