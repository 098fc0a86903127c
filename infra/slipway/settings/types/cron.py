"""The schedule of a CronJob: refused here if the API server would refuse it, or if it would never run.

No library does this: those for Python (croniter, cronsim) also accept what Kubernetes does not, such as a sixth field,
`L`, `#` and weekday 7, and none of them reports a day that no month has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_CRON_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of month", 1, 31), ("month", 1, 12), ("day of week", 0, 6))
_MONTH_LENGTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_RANGE = re.compile(r"(\*|([0-9]+)(?:-([0-9]+))?)(?:/([1-9][0-9]{0,3}))?")


def check_cron(schedule: str) -> None:
    """Raise ValueError unless the schedule has five fields of numbers, ranges, lists and steps."""
    fields = schedule.split()
    if len(fields) != len(_CRON_FIELDS):
        raise ValueError(f"has {len(fields)} fields instead of 5 (minute hour day month weekday)")
    for field, (name, low, high) in zip(fields, _CRON_FIELDS, strict=True):
        if not all(_is_within(part, low, high) for part in field.split(",")):
            sunday = "; Sunday is 0" if low == 0 and high == 6 else ""
            raise ValueError(f"{name} is {field!r}: numbers from {low} to {high}{sunday}, `*`, lists, ranges and steps")
    _, _, days, months, weekdays = fields
    longest = max(_MONTH_LENGTHS[month - 1] for month in _months(months))
    earliest = min(int(part.partition("-")[0].partition("/")[0].replace("*", "1")) for part in days.split(","))
    if weekdays == "*" and earliest > longest:
        raise ValueError(f"day of month is {days!r}, which no month of {months!r} has: it would never run")


def _is_within(part: str, low: int, high: int) -> bool:
    """Return whether one part of a list, such as `1-5/2`, is valid and within the bounds."""
    match = _RANGE.fullmatch(part)
    bounds = [int(number) for number in match.group(2, 3) if number] if match else []
    return match is not None and bounds == sorted(bounds) and all(low <= number <= high for number in bounds)


def _months(field: str) -> Iterator[int]:
    """Return the months that one field of a schedule names."""
    for part in field.split(","):
        given, _, step = part.partition("/")
        first, _, last = given.replace("*", "1-12").partition("-")
        end = int(last) if last else 12 if step else int(first)
        yield from range(int(first), end + 1, int(step or 1))
