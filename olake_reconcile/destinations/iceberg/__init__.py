"""Apache Iceberg as a destination: own Parquet files, pyiceberg for catalog and metadata."""

from __future__ import annotations
