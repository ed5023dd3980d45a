"""YAML text to model: reads a workspace, collects every mistake in one pass, returns `Desired`."""
