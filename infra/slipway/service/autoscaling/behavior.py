"""How fast a service scales, whoever owns its autoscaler."""

from __future__ import annotations

from typing import NamedTuple


class Pace(NamedTuple):
    """At most `value` (Pods or Percent) per period, and only after the need has lasted."""

    step: str
    value: int
    period_seconds: int
    stabilization_seconds: int


UP = Pace(step="Percent", value=100, period_seconds=15, stabilization_seconds=0)
DOWN = Pace(step="Pods", value=1, period_seconds=60, stabilization_seconds=300)
