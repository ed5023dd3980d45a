"""What the shell works with: the ports, gathered by `wiring.py` and handed down."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from olake_reconcile.clock import Clock
from olake_reconcile.engine.base import Engine
from olake_reconcile.model.run import Holder
from olake_reconcile.policies.base import NoPolicyEngine, PolicyEngine
from olake_reconcile.secrets import Secrets
from olake_reconcile.spec.environment import kept_in
from olake_reconcile.state.base import StateStore


@dataclass(frozen=True, slots=True)
class Services:
    """The ports of one process. `root` is the workspace, `holder` this process."""

    root: Path
    clock: Clock
    secrets: Secrets
    store: StateStore
    engine: Engine
    holder: Holder
    who: str
    environment: str = "default"
    policies: PolicyEngine = field(default_factory=NoPolicyEngine)

    @property
    def cache(self) -> Path:
        """Disposable files: never state."""
        return kept_in(self.root, self.environment) / "cache"

    @property
    def logs(self) -> Path:
        """One file per run."""
        return kept_in(self.root, self.environment) / "logs"

    @property
    def scratch(self) -> Path:
        """Temporary files, in one folder per run."""
        return self.root / ".olake" / "tmp"
