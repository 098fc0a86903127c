"""Replays load against an autoscaler, with a forecast and without: how often pods were short, and what they cost.

The forecast is that of the recording rules (monitoring/scaling.py), the autoscaler the algorithm of the HPA: it
compares every 15 s, leaves a deviation of 10 % alone, follows the metric that asks for most pods, doubles the pods at
the most, and takes one a minute away once fewer have been enough for 5 minutes.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from slipway.monitoring.scaling import WEEK_MINUTES, ForecastModel

TICK_SECONDS = 15
TICKS_A_MINUTE = 60 // TICK_SECONDS
TOLERANCE = 0.1
STABLE_TICKS = 300 // TICK_SECONDS
# A rate over the last minute, of a scrape that is up to 15 s old.
SEEN_TICKS = range(2, 6)
# A forecast is worth it if a tenth of the time short of pods is gone, for at most a tenth more pod-hours.
MAX_SHORT, MAX_PRICE = 0.9, 1.10


@dataclass(frozen=True)
class Scaler:
    """What an autoscaler goes by."""

    target: float
    """Requests per second for each pod."""
    min: int
    max: int
    start_seconds: int = 30
    """How long a new pod takes until it serves."""

    def within_bounds(self, pods: int) -> int:
        """Return a number of pods that is allowed."""
        return min(max(pods, self.min), self.max)

    def wanted(self, requests: float, pods: int) -> int:
        """Return how many pods the HPA wants for so many requests per second."""
        if abs(requests / (self.target * pods) - 1) <= TOLERANCE:
            return pods
        return math.ceil(requests / self.target)


@dataclass(frozen=True)
class Outcome:
    """What a replay came to."""

    short_minutes: float
    """How long the pods that served had more requests than their target and the tolerance allow."""
    pod_hours: float
    pods: tuple[int, ...]
    """Number of pods at the end of each minute."""


@dataclass(frozen=True)
class Backtest:
    """One replay without a forecast, and one with it."""

    reaction: Outcome
    forecast: Outcome

    @property
    def price(self) -> float:
        """The pod-hours with the forecast, as a multiple of those without."""
        return self.forecast.pod_hours / self.reaction.pod_hours

    @property
    def wins(self) -> bool:
        """Return whether the forecast is worth it."""
        is_better = self.forecast.short_minutes < MAX_SHORT * self.reaction.short_minutes
        return is_better and self.price <= MAX_PRICE


def run(load: Sequence[float], scaler: Scaler, model: ForecastModel) -> Backtest:
    """Replay load, given in requests per second for each minute. Its first week is what the first forecasts go by."""
    forecast = expected(load, model)
    lived, ahead = load[WEEK_MINUTES:], forecast[WEEK_MINUTES:]
    return Backtest(replay(lived, scaler), replay(lived, scaler, ahead))


def expected(load: Sequence[float], model: ForecastModel) -> list[float]:
    """Return the forecast of each minute as the autoscaler gets it: 0 while there is none, or while it is wrong."""
    averages = _Averages(load)
    forecasts = [_forecast(averages, minute, model) for minute in range(len(load))]
    errors = [_error(averages, forecasts, minute, model) for minute in range(len(load))]
    used: list[float] = []
    for minute, forecast in enumerate(forecasts):
        recent = [error for error in errors[max(0, minute - model.level + 1) : minute + 1] if error is not None]
        is_right = bool(recent) and sum(recent) / len(recent) < model.tolerance
        used.append(forecast if forecast is not None and is_right else 0.0)
    return used


class _Averages:
    """Averages of a series over ranges that end at a minute."""

    def __init__(self, series: Sequence[float]) -> None:
        self.sums = [0.0, *accumulate(series)]

    def over(self, minutes: int, end: int) -> float | None:
        """Return the average of so many minutes up to one; None before the series begins."""
        begin = max(0, end - minutes + 1)
        return (self.sums[end + 1] - self.sums[begin]) / (end + 1 - begin) if end >= begin else None


def _forecast(averages: _Averages, minute: int, model: ForecastModel) -> float | None:
    before = averages.over(model.smoothing, minute - model.last_week)
    level, level_before = averages.over(model.level, minute), averages.over(model.level, minute - WEEK_MINUTES)
    if before is None or level is None or not level_before:
        return None
    return before * min(max(level / level_before, model.lowest), model.highest)


def _error(averages: _Averages, forecasts: Sequence[float | None], minute: int, model: ForecastModel) -> float | None:
    """Return the error of the forecast for the minutes that are just over, as a share of the load."""
    made = minute - model.checked_after
    load, forecast = averages.over(model.smoothing, minute), forecasts[made] if made >= 0 else None
    return abs(load - forecast) / load if load and forecast is not None else None


def replay(load: Sequence[float], scaler: Scaler, forecast: Sequence[float] | None = None) -> Outcome:
    """Return what an autoscaler makes of the load, in requests per second for each minute."""
    pods = scaler.within_bounds(math.ceil(load[0] / scaler.target))
    starting: deque[int] = deque()
    wanted_lately: deque[int] = deque([pods], maxlen=STABLE_TICKS)
    last_removal = short_ticks = pod_ticks = 0
    by_minute: list[int] = []
    for tick in range(len(load) * TICKS_A_MINUTE):
        minute = tick // TICKS_A_MINUTE
        seen = sum(load[max(0, tick - age) // TICKS_A_MINUTE] for age in SEEN_TICKS) / len(SEEN_TICKS)
        wanted = scaler.wanted(seen, pods)
        if forecast is not None:
            wanted = max(wanted, scaler.wanted(forecast[minute], pods))
        wanted = scaler.within_bounds(wanted)
        wanted_lately.append(wanted)
        if wanted > pods:
            more = min(wanted, 2 * pods) - pods
            starting.extend([tick + scaler.start_seconds // TICK_SECONDS] * more)
            pods += more
        elif max(wanted_lately) < pods and tick - last_removal >= TICKS_A_MINUTE:
            pods, last_removal = pods - 1, tick
        while starting and starting[0] <= tick:
            starting.popleft()
        serving = max(1, pods - len(starting))
        short_ticks += load[minute] > serving * scaler.target * (1 + TOLERANCE)
        pod_ticks += pods
        if tick % TICKS_A_MINUTE == TICKS_A_MINUTE - 1:
            by_minute.append(pods)
    return Outcome(short_ticks / TICKS_A_MINUTE, pod_ticks * TICK_SECONDS / 3600, tuple(by_minute))
