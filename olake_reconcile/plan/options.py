"""What the person at the command line adds to the files."""

from __future__ import annotations

from dataclasses import dataclass

from olake_reconcile.model.names import Address, select


@dataclass(frozen=True, slots=True)
class Options:
    """Consent given by address (globs allowed), and what is asked for once.

    `show_all` lists unchanged resources too; `prune` deletes the jobs that no file declares. `environment` is the
    one whose marks on tables are ours.
    """

    allow_rebuild: tuple[str, ...] = ()
    allow_delete: tuple[str, ...] = ()
    show_all: bool = False
    prune: bool = False
    environment: str = "default"

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
