"""The versions of Kubernetes that are supported. They are stated here, and nowhere else."""

from __future__ import annotations

OLDEST, LOCAL, NEWEST = VERSIONS = ("1.34", "1.36", "1.37")
"""The objects are checked against the schemas of each. Pods use `lifecycle.preStop.sleep`, which is stable since 1.34.
`make up` starts LOCAL."""
