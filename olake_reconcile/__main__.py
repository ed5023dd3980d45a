"""`python -m olake_reconcile` is the same program as `olake-reconcile`."""

from __future__ import annotations

from olake_reconcile.cli.main import main

if __name__ == "__main__":
    main()
