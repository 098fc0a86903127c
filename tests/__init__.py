"""Tests of infra/, ops/ and local/, and what they share."""

import ops  # noqa: F401  # pyright: ignore[reportUnusedImport] - puts infra/ on the path
