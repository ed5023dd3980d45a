"""The imperative shell: observe, apply, run, loop. Everything it needs comes in as arguments."""

from __future__ import annotations
