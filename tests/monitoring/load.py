"""Load of a web shop, in requests per second for each minute: days, nights, weekends, mailings and noise, seeded."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

DAY = 24 * 60
WEEK = 7 * DAY


def shop(
    weeks: int, *, seed: int = 4711, noise: float = 0.05, bad: Callable[[int, float], float] | None = None
) -> list[float]:
    """Return the load of some weeks. `bad(minute, load)` changes single minutes."""
    source = random.Random(seed)  # noqa: S311 - load is not secret
    load: list[float] = []
    for minute in range(weeks * WEEK):
        day, hour = minute // DAY % 7, minute % DAY / 60
        # Lowest at 4 in the morning, highest at 4 in the afternoon.
        value = 120 + 380 * (1 - math.cos((hour - 4) / 24 * 2 * math.pi)) / 2
        value *= 0.6 if day >= 5 else 1.0
        value *= 1.05 ** (minute // WEEK)
        value *= 1 + sum(_mailing(hour, at, height) for at, height in ((8.0, 0.9), (12.0, 0.6), (20.0, 0.8)))
        value *= max(0.0, source.gauss(1, noise))
        load.append(bad(minute, value) if bad else value)
    return load


def _mailing(hour: float, at: float, height: float) -> float:
    """Return how much a mailing adds: within two minutes, and gone after an hour and a half."""
    since = (hour - at) * 60
    return height * min(1.0, (since + 1) / 2) * math.exp(-since / 30) if 0 <= since < 90 else 0.0
