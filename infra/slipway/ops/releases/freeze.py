"""Freeze windows: times in which a stack is not updated, except by a rollback or with a reason.

`slipway:freeze` lists them. A window holds while all that it names is so: the day of the week, the time of day, the
dates, in its time zone. One that goes over midnight belongs to the day on which it begins.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pulumi
import typer

from slipway.ops.errors import UserError
from slipway.ops.program import config
from slipway.settings.sections.stack import WEEKDAYS, FreezeWindow

FREEZE = "freeze"
OVERRIDE = "--override-freeze"
_MAX_DAYS = 366  # beyond it an end is of no interest


class FrozenError(UserError):
    """A stack is not updated now."""


def check(stack: str, reason: str = "", now: datetime | None = None) -> str:
    """Return the reason to record with the release, if one was needed; else an empty text.

    Raises FrozenError within a freeze window without a reason.
    """
    try:
        windows = config.settings(stack).freeze
    except pulumi.RunError:
        return ""  # `pulumi up` itself says why
    now = now or datetime.now(UTC)
    window = active(windows, now)
    if window is None:
        if reason:
            typer.echo(f"{stack}: {OVERRIDE} was not needed: no freeze window holds now", err=True)
        return ""
    if reason:
        typer.echo(f"{stack}: updated within a freeze window ({window.reason}): {reason}", err=True)
        return reason
    raise FrozenError(
        f"{stack}: frozen: {describe(windows, now)}; nothing was changed.\n"
        f"A rollback always passes: ./slipway rollback -s {stack}\n"
        f'If it cannot wait: ./slipway up -s {stack} {OVERRIDE} "REASON", which ./slipway history shows\n'
        f"The windows are slipway:freeze in stacks/Pulumi.{stack}.yaml"
    )


def describe(windows: Sequence[FreezeWindow], now: datetime | None = None) -> str:
    """Return why a stack is frozen and until when: `weekend, until Mon 2026-12-07 08:00 Asia/Tokyo`; empty if not."""
    moment = now or datetime.now(UTC)
    window = active(windows, moment)
    if window is None:
        return ""
    end = thawed(windows, moment)
    local = end.astimezone(ZoneInfo(window.time_zone)) if end else None
    return f"{window.reason}, until {f'{local:%a %Y-%m-%d %H:%M} {window.time_zone}' if local else 'further notice'}"


def active(windows: Sequence[FreezeWindow], now: datetime) -> FreezeWindow | None:
    """Return the first window that holds now; None if none does."""
    return next((window for window in windows if holds(window, now)), None)


def holds(window: FreezeWindow, now: datetime) -> bool:
    """Return whether a window holds at a time."""
    local = now.astimezone(ZoneInfo(window.time_zone))
    begin, end = window.minutes
    minute = local.hour * 60 + local.minute
    today, yesterday = local.date(), local.date() - timedelta(days=1)
    if begin < end:
        return begin <= minute < end and _is_day(window, today)
    return (minute >= begin and _is_day(window, today)) or (minute < end and _is_day(window, yesterday))


def thawed(windows: Sequence[FreezeWindow], now: datetime) -> datetime | None:
    """Return the first minute at which no window holds; None if there is none within a year."""
    moment = now.replace(second=0, microsecond=0)
    # Windows begin and end at full minutes, so the next minute at which one ends is the next candidate.
    while holding := active(windows, moment):
        moment = _end(holding, moment)
        if moment - now > timedelta(days=_MAX_DAYS):
            return None
    return moment


def _end(window: FreezeWindow, moment: datetime) -> datetime:
    """Return the end of the day's part of a window that holds: its time of day, or midnight."""
    zone = ZoneInfo(window.time_zone)
    local = moment.astimezone(zone)
    begin, end = window.minutes
    days = 1 if begin >= end and local.hour * 60 + local.minute >= begin else 0
    wall = datetime(local.year, local.month, local.day, tzinfo=zone) + timedelta(days=days, minutes=end)
    return max(wall.astimezone(UTC), moment.astimezone(UTC) + timedelta(minutes=1))


def _is_day(window: FreezeWindow, day: date) -> bool:
    """Return whether a window that begins on a day is one of those."""
    is_weekday = not window.days or WEEKDAYS[day.weekday()] in window.days
    has_begun = window.first_day is None or day >= window.first_day
    has_ended = window.last_day is not None and day > window.last_day
    return is_weekday and has_begun and not has_ended
