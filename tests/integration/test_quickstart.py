"""The quickstart is followed to the letter: every file is written, every command typed, every output compared."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from local_postgres import LocalPostgres

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Typist:
    """Does what a page says, in one folder."""

    folder: Path
    environment: dict[str, str]
    server: str  # what stands for `host: localhost` and `port: 5432` of the page

    def follow(self, page: str) -> int:
        """Do every block of the page; return how many commands were typed."""
        typed = 0
        for language, title, text in _BLOCK.findall(page):
            match language:
                case "yaml":
                    path = self.folder / title
                    path.parent.mkdir(exist_ok=True)
                    path.write_text(text.replace("host: localhost\n  port: 5432", self.server))
                case "diff":
                    self.edit(self.folder / title, text)
                case "console":
                    for command, expected in _commands(text):
                        self.type(command, expected)
                        typed += 1
                case "python":
                    self.run([sys.executable, "-c", text])
                    typed += 1
                case _:
                    raise AssertionError(f"nobody knows how to follow a block of {language}")
        return typed

    def edit(self, path: Path, diff: str) -> None:
        lines = diff.splitlines(keepends=True)
        old = "".join(line[1:] for line in lines if line[0] in "- ")
        new = "".join(line[1:] for line in lines if line[0] in "+ ")
        assert path.read_text().count(old) == 1
        path.write_text(path.read_text().replace(old, new))

    def type(self, command: str, expected: str) -> None:
        program, *arguments = command.split()
        assert program == "olake-reconcile"
        output = self.run([str(Path(sys.executable).parent / program), *arguments])
        assert re.fullmatch(_pattern(expected), output), f"$ {command}\n{output}\n--- expected\n{expected}"

    def run(self, command: list[str]) -> str:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout


def _commands(text: str) -> Iterator[tuple[str, str]]:
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        yield command, expected


def _pattern(expected: str) -> str:
    """A line that is `…` stands for any lines; within a line it stands for any text."""
    pattern = ""
    for line in expected.splitlines():
        pattern += r"(?:[^\n]*\n)*?" if line == "…" else ".*?".join(map(re.escape, line.split("…"))) + r"\n"
    return pattern


@pytest.mark.integration
def test_the_quickstart_works_as_it_is_written(postgres_server: LocalPostgres, tmp_path: Path) -> None:
    with psycopg.connect(postgres_server.conninfo(), autocommit=True) as admin:
        admin.execute("CREATE DATABASE quickstart")
    try:
        with psycopg.connect(postgres_server.conninfo("quickstart"), autocommit=True) as shop:
            shop.execute((ROOT / "demo/shop.sql").read_bytes())
        typist = Typist(
            tmp_path,
            {
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "SHOP_PASSWORD": postgres_server.password,
            },
            f"host: 127.0.0.1\n  port: {postgres_server.port}",
        )
        page = (ROOT / "docs/quickstart.md").read_text().replace("database: shop", "database: quickstart")
        assert typist.follow(page) > 10
    finally:
        with psycopg.connect(postgres_server.conninfo(), autocommit=True) as admin:
            admin.execute("DROP DATABASE quickstart WITH (FORCE)")


def test_an_ellipsis_stands_for_what_differs_and_for_nothing_else() -> None:
    assert re.fullmatch(_pattern("Run … done.\n…\nend\n"), "Run 7 done.\nx\ny\nend\n")
    assert not re.fullmatch(_pattern("Run … done.\nend\n"), "Run 7 done.\nx\nend\n")
    assert not re.fullmatch(_pattern("end\n"), "end.\n")
