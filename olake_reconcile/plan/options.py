"""What the person at the command line adds to the files."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field

from olake_reconcile.model.names import Address, select

DEFAULT_ENVIRONMENT = "default"


@dataclass(frozen=True, slots=True)
class Narrowing:
    """What a plan is narrowed to, as typed: addresses (globs allowed), and labels of jobs as `name=value[,…]`."""

    target: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    selector: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.target or self.exclude or self.selector)

    @property
    def flags(self) -> list[str]:
        """The options that ask for it, quoted for a shell."""
        given = (("--target", self.target), ("--exclude", self.exclude), ("--selector", self.selector))
        return [f"{name} {shlex.quote(text)}" for name, texts in given for text in texts]


@dataclass(frozen=True, slots=True)
class Options:
    """Consent given by address (globs allowed), and what is asked for once.

    `show_all` lists unchanged resources too; `prune` deletes the jobs that no file declares. `environment` is the
    one whose marks on tables are ours. `replace` names streams that are rebuilt though nothing asks for it.
    """

    allow_rebuild: tuple[str, ...] = ()
    allow_delete: tuple[str, ...] = ()
    show_all: bool = False
    prune: bool = False
    environment: str = DEFAULT_ENVIRONMENT
    narrowing: Narrowing = field(default_factory=Narrowing)
    replace: tuple[str, ...] = ()
    allow_policy: tuple[str, ...] = ()

    def command(self, verb: str = "apply") -> str:
        """Return the command line that asks for the same again, for people to paste."""
        words = ["olake-reconcile", verb]
        if self.environment != DEFAULT_ENVIRONMENT:
            words += ["--env", self.environment]
        words += ["--prune"] if self.prune else []
        words += self.narrowing.flags + [f"--replace {shlex.quote(text)}" for text in self.replace]
        return " ".join(words)

    def replaces(self, address: Address) -> bool:
        """Whether `--replace` names the address."""
        return _named(self.replace, address)

    def allows_rebuild(self, address: Address) -> bool:
        """Whether `--allow-rebuild` names the address."""
        return _named(self.allow_rebuild, address)

    def allows_delete(self, address: Address) -> bool:
        """Whether `--allow-delete` names the address."""
        return _named(self.allow_delete, address)


def _named(patterns: tuple[str, ...], address: Address) -> bool:
    """A job's address names its streams as well."""
    around = [address, Address("job", address.name)] if address.kind == "stream" else [address]
    return any(select(pattern, around) for pattern in patterns)
