"""The verbs: canonical form, diff, effects, actions, consent. Pure: values in, values out."""

from __future__ import annotations
