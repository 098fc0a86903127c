"""14 days of load are replayed with a forecast and without. A wrong forecast comes to the same as none."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from slipway.monitoring.scaling import ForecastModel
from slipway.ops.monitoring.backtest import Backtest, Scaler, expected, replay, run
from tests.monitoring.load import WEEK, shop

SCALER = Scaler(target=50, min=2, max=60)
MODEL = ForecastModel(ahead=15)


def replayed(load: list[float], scaler: Scaler = SCALER) -> Backtest:
    return run(load, scaler, MODEL)


@pytest.mark.feature("P4")
@pytest.mark.parametrize(("seed", "start_seconds"), [(1, 15), (2, 30), (3, 120)])
def test_load_that_returns_every_week_finds_more_pods_for_little_money(seed: int, start_seconds: int):
    result = replayed(shop(3, seed=seed), Scaler(target=50, min=2, max=60, start_seconds=start_seconds))
    assert result.reaction.short_minutes > 100
    assert result.forecast.short_minutes < 0.65 * result.reaction.short_minutes
    assert result.price <= 1.03
    assert result.wins


def shifted(load: list[float]) -> list[float]:
    """Return load whose last week has its days six hours later."""
    return [load[minute - 360] if minute >= 2 * WEEK else value for minute, value in enumerate(load)]


def holiday(load: list[float]) -> list[float]:
    """Return load whose last week is a third of what it used to be."""
    return [value * 0.3 if minute >= 2 * WEEK else value for minute, value in enumerate(load)]


def campaign(load: list[float]) -> list[float]:
    """Return load that was three times as high in the week before the last one."""
    return [value * 3 if WEEK <= minute < 2 * WEEK else value for minute, value in enumerate(load)]


@pytest.mark.feature("P4", part="a bad forecast falls back")
@pytest.mark.parametrize("bad", [shifted, holiday, campaign])
def test_a_week_unlike_the_last_one_is_no_worse_than_without_a_forecast(bad: Callable[[list[float]], list[float]]):
    result = replayed(bad(shop(3)))
    assert result.forecast.short_minutes <= result.reaction.short_minutes
    assert result.price <= 1.03


def test_load_without_a_pattern_does_not_win():
    source = random.Random(3)  # noqa: S311 - load is not secret
    level, load = 300.0, list[float]()
    for _ in range(3 * WEEK):
        level = source.uniform(100, 1500) if source.random() < 1 / 60 else level
        load.append(level * source.gauss(1, 0.05))
    assert not replayed(load).wins


def test_a_forecast_of_zero_is_reaction():
    load = shop(1)
    assert replay(load, SCALER, [0.0] * len(load)) == replay(load, SCALER)


def test_a_forecast_never_has_the_autoscaler_want_fewer_pods():
    load = shop(1)
    low = [value / 10 for value in load]
    assert replay(load, SCALER, low) == replay(load, SCALER)


def test_a_forecast_that_was_wrong_for_an_hour_counts_as_zero():
    load = shop(2)
    begin = WEEK + 12 * 60
    # From noon on there are hardly any requests, far fewer than a forecast expects at the least.
    wrong = [60.0 if minute >= begin else value for minute, value in enumerate(load)]
    forecasts = expected(wrong, MODEL)
    assert min(forecasts[begin - 60 : begin]) > 0
    assert max(forecasts[begin + 120 : begin + 180]) == 0


def test_pods_are_doubled_at_the_most_and_leave_one_a_minute_after_five_minutes():
    load = [100.0] * 10 + [1000.0] * 10 + [100.0] * 30
    pods = replay(load, SCALER).pods
    assert pods[9] == 2
    assert max(pods) == 20
    last = max(minute for minute, number in enumerate(pods) if number == 20)
    assert 24 <= last <= 26
    assert [pods[minute] - pods[minute + 1] for minute in range(last, last + 10)] == [1] * 10


def test_a_forecast_has_the_pods_ready_when_the_load_comes():
    load = [100.0] * 30 + [1000.0] * 30
    without = replay(load, SCALER)
    ahead = replay(load, SCALER, [*load[15:], *[1000.0] * 15])
    assert without.short_minutes > 1
    assert ahead.short_minutes == 0
    assert ahead.pod_hours > without.pod_hours
