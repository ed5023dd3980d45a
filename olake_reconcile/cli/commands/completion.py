"""`completion`: the script that makes a shell complete commands, options and the workspace's names."""

from __future__ import annotations

import click

PROGRAM = "olake-reconcile"
VARIABLE = "_OLAKE_RECONCILE_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that completes commands, options, and the names of jobs, streams and sources in SHELL.

    \b
    Examples:
      olake-reconcile completion bash > ~/.local/share/bash-completion/completions/olake-reconcile
      olake-reconcile completion zsh > ~/.zfunc/_olake-reconcile
      olake-reconcile completion fish > ~/.config/fish/completions/olake-reconcile.fish
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    maker = kind(context.find_root().command, {}, PROGRAM, VARIABLE)
    click.echo(maker.source_template % maker.source_vars())
