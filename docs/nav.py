"""Put every decision's page into the site's navigation, in the order of their numbers: nobody has to list them."""

from __future__ import annotations

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Fill the section `Decisions` from `adr/`; called by mkdocs (`hooks` in mkdocs.yml)."""
    folder = Path(config.docs_dir)
    decisions: list[str] = [str(p.relative_to(folder)) for p in sorted((folder / "adr").glob("*.md"))]
    config.nav = [*(config.nav or []), {"Decisions": decisions}]
    return config
