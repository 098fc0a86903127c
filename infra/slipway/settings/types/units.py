"""Durations and quantities as numbers."""

from __future__ import annotations

import re


def seconds(duration: str) -> float:
    """Parse a Go duration: `"1m30s"` -> 90. Text that is not a duration counts as 0."""
    units = {"h": 3600, "m": 60, "s": 1, "ms": 1e-3}
    numbers = re.findall(r"(?<![0-9.])([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(h|ms|m|s)", duration)
    return sum(float(number) * units[unit] for number, unit in numbers)


def duration(length: float) -> str:
    """Return seconds as a text: 0.25 -> `"250ms"`, 2.5 -> `"2.5s"`."""
    return f"{length:g}s" if length >= 1 else f"{1000 * length:g}ms"


def hours(duration: str) -> float:
    """Parse a time of one unit as Prometheus takes it: `"35d"` -> 840, `"30m"` -> 0.5."""
    return int(duration[:-1]) * {"m": 1 / 60, "h": 1, "d": 24, "w": 7 * 24, "y": 365 * 24}[duration[-1]]


def millicores(cpu: str) -> int:
    """Parse an amount of CPU: `"250m"` -> 250, `"1"` -> 1000, `"0.5"` -> 500."""
    return int(cpu[:-1]) if cpu.endswith("m") else round(float(cpu) * 1000)


def mebibytes(memory: str) -> int:
    """Parse an amount of memory: `"64Mi"` -> 64, `"1Gi"` -> 1024."""
    return int(memory[:-2]) * (1024 if memory.endswith("Gi") else 1)
