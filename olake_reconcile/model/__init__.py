"""The nouns: frozen values and pure functions, no files, network, clock or randomness."""

from __future__ import annotations
