"""What the commands of one invocation share: the workspace and its services, opened when first asked for."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import click

from olake_reconcile.diagnostics import Diagnostic, Severity
from olake_reconcile.errors import InvalidWorkspace, ReconcileError, UsageError
from olake_reconcile.model.desired import Desired
from olake_reconcile.model.project import Project
from olake_reconcile.model.stored import Stored
from olake_reconcile.secrets import SystemSecrets
from olake_reconcile.spec.environment import Environment

if TYPE_CHECKING:
    from olake_reconcile.reconcile.catalogues import Cached
    from olake_reconcile.reconcile.services import Services
    from olake_reconcile.spec.workspace import Workspace


class Session:
    """One invocation in one workspace."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._warned: set[Diagnostic] = set()
        self.environment = Environment()
        self._given: Stored | None = None

    def start_from(self, stored: Stored) -> None:
        """Plan from `stored` in place of the state store, which is not touched from now on."""
        self._given = stored

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take secrets out of an error on its way to the terminal."""
        if isinstance(error, ReconcileError):
            error.summary = self.redact(error.summary)
            error.why = self.redact(error.why)
            error.remedy = self.redact(error.remedy)

    def choose(self, environment: str | None, variables: Sequence[str]) -> None:
        """Take what a command line says of the environment; what was said before and is not said again stays."""
        from olake_reconcile.spec.environment import named

        given = dict(self.environment.variables)
        for variable in variables:
            name, equals, value = variable.partition("=")
            if not (name and equals):
                raise UsageError(f"'{variable}' sets no variable", remedy="Write --var NAME=VALUE.")
            given[name] = value
        self.environment = named(environment or self.environment.name, given)

    def redact(self, text: str) -> str:
        """Return `text` without the secrets that were given out so far."""
        return self.secrets.redact(text) if "secrets" in self.__dict__ else text

    @cached_property
    def root(self) -> Path:
        """The folder that holds olake.yaml."""
        from olake_reconcile.wiring import find_root

        return find_root(self.directory)

    @cached_property
    def secrets(self) -> SystemSecrets:
        """The environment and files of this machine."""
        from olake_reconcile.wiring import system_secrets

        return system_secrets(self.root)

    @cached_property
    def _loaded(self) -> tuple[Workspace, Mapping[str, Cached]]:
        from olake_reconcile.wiring import read_workspace

        loaded = read_workspace(self.root, self.secrets, self.environment)
        # A large workspace is a million objects that stay: the collector need not walk them again and again.
        gc.freeze()
        return loaded

    @property
    def workspace(self) -> Workspace:
        """The workspace as its files are, mistakes included."""
        return self._loaded[0]

    @property
    def catalogues(self) -> Mapping[str, Cached]:
        """The cached catalogues that the workspace was checked against."""
        return self._loaded[1]

    def reload(self) -> None:
        """Read the files again: a catalogue was discovered."""
        self.__dict__.pop("_loaded", None)

    @property
    def desired(self) -> Desired:
        """What the files say. Raises `InvalidWorkspace`; warnings go to stderr, once."""
        if self.workspace.desired is None:
            raise InvalidWorkspace(self.workspace.diagnostics)
        self.warn(d for d in self.workspace.diagnostics if d.severity is Severity.WARNING)
        return self.workspace.desired

    @property
    def desired_for_discovery(self) -> Desired:
        """What the files say, whatever old catalogues have against it: a new discovery may settle that."""
        if self.workspace.desired is not None:
            return self.workspace.desired
        from olake_reconcile.wiring import read_offline

        offline = read_offline(self.root, self.secrets, self.environment)
        if offline.desired is None:
            raise InvalidWorkspace(offline.diagnostics)
        return offline.desired

    @property
    def project(self) -> Project:
        """The project, which may be fine though a job is not. Raises `InvalidWorkspace`."""
        if self.workspace.project is None:
            raise InvalidWorkspace(self.workspace.diagnostics)
        return self.workspace.project

    @cached_property
    def services(self) -> Services:
        """The ports."""
        from olake_reconcile.wiring import services_for, services_given

        if self._given is not None:
            return services_given(self.root, self.secrets, self._given, self.environment.name)
        return services_for(self.root, self.project, self.secrets)

    def warn(self, diagnostics: Iterable[Diagnostic]) -> None:
        """Show diagnostics on stderr, each once."""
        for diagnostic in diagnostics:
            if diagnostic not in self._warned:
                self._warned.add(diagnostic)
                click.echo(self.secrets.redact(diagnostic.render()), err=True)


def is_terminal() -> bool:
    """Whether somebody can answer a question."""
    return sys.stdin.isatty() and sys.stderr.isatty()
