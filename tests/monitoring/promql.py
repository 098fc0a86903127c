"""A little evaluator of PromQL, for tests that go from samples to a value. It knows what the rules here use.

It is written from the documentation of Prometheus and not from the rules: it must not share their mistakes. Ranges are
open on the left, as in Prometheus 3; a series that got no sample for 5 minutes is gone.
"""

from __future__ import annotations

import bisect
import itertools
import math
import operator
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import promql_parser as ast

Labels = frozenset[tuple[str, str]]
Vector = dict[Labels, float]
STALE_SECONDS = 300
_ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": lambda a, b: a / b if b else math.copysign(math.inf, a) if a else math.nan,
}
_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "==": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
}


class Store:
    """Samples by series, in the order of time. Times are seconds."""

    def __init__(self) -> None:
        self.series: defaultdict[Labels, list[tuple[float, float]]] = defaultdict(list)

    def add(self, name: str, labels: Mapping[str, str], samples: Sequence[tuple[float, float]]) -> None:
        """Add samples, each a time and a value, to a series."""
        self.series[frozenset({**labels, "__name__": name}.items())].extend(samples)

    def record(self, name: str, result: Vector, time: float) -> None:
        """Add the result of a recording rule."""
        for labels, value in result.items():
            self.add(name, dict(labels), [(time, value)])

    def query(self, text: str, time: float) -> Vector:
        """Return the value of an expression, by labels."""
        result = self._value(ast.parse(text), time)
        return result if isinstance(result, dict) else {frozenset(): result}

    def _value(self, expr: Any, time: float) -> Any:
        match expr:
            case ast.NumberLiteral():
                return expr.val
            case ast.ParenExpr():
                return self._value(expr.expr, time)
            case ast.VectorSelector():
                return self._instant(expr, time)
            case ast.AggregateExpr():
                return self._aggregate(expr, time)
            case ast.Call():
                return self._call(expr, time)
            case ast.BinaryExpr():
                return self._binary(str(expr.op), self._value(expr.lhs, time), self._value(expr.rhs, time))
            case _:
                raise NotImplementedError(type(expr).__name__)

    def _samples(self, selector: Any, begin: float, end: float) -> dict[Labels, list[tuple[float, float]]]:
        offset = selector.offset.total_seconds() if selector.offset else 0.0
        found: dict[Labels, list[tuple[float, float]]] = {}
        for labels, samples in self.series.items():
            first = bisect.bisect_right(samples, begin - offset, key=lambda sample: sample[0])
            last = bisect.bisect_right(samples, end - offset, key=lambda sample: sample[0])
            inside = samples[first:last]
            if inside and _matches(selector, dict(labels)):
                found[labels] = inside
        return found

    def _instant(self, selector: Any, time: float) -> Vector:
        return {
            labels: samples[-1][1] for labels, samples in self._samples(selector, time - STALE_SECONDS, time).items()
        }

    def _call(self, call: Any, time: float) -> Any:
        name, arguments = call.func.name, call.args
        if name in ("abs", "clamp"):
            vector, *bounds = (self._value(argument, time) for argument in arguments)
            change: Callable[[float], float] = (
                abs if name == "abs" else lambda value: min(max(value, bounds[0]), bounds[1])
            )
            return {_unnamed(labels): change(value) for labels, value in vector.items()}
        matrix = arguments[0]
        ranges = self._samples(matrix.vector_selector, time - matrix.range.total_seconds(), time)
        functions: dict[str, Callable[[list[tuple[float, float]]], float | None]] = {
            "rate": _rate,
            "avg_over_time": lambda samples: sum(value for _, value in samples) / len(samples),
            "max_over_time": lambda samples: max(value for _, value in samples),
        }
        values = {_unnamed(labels): functions[name](samples) for labels, samples in ranges.items()}
        return {labels: value for labels, value in values.items() if value is not None}

    def _aggregate(self, expr: Any, time: float) -> Vector:
        groups: defaultdict[Labels, list[float]] = defaultdict(list)
        kept = set(expr.modifier.labels) if expr.modifier else set[str]()
        for labels, value in self._value(expr.expr, time).items():
            groups[frozenset((name, text) for name, text in labels if name in kept)].append(value)
        return {labels: float({"sum": sum, "count": len}[str(expr.op)](values)) for labels, values in groups.items()}

    def _binary(self, op: str, left: Any, right: Any) -> Any:
        if op in ("and", "or"):
            ours, theirs = {_unnamed(labels) for labels in left}, {_unnamed(labels) for labels in right}
            if op == "and":
                return {labels: value for labels, value in left.items() if _unnamed(labels) in theirs}
            return {**left, **{labels: value for labels, value in right.items() if _unnamed(labels) not in ours}}
        if not isinstance(left, dict) and not isinstance(right, dict):
            return _ARITHMETIC[op](left, right)
        if not isinstance(left, dict):
            left = {_unnamed(labels): left for labels in right}
        elif not isinstance(right, dict):
            right = {_unnamed(labels): right for labels in left}
        others = {_unnamed(labels): value for labels, value in right.items()}
        pairs = [
            (labels, value, others[_unnamed(labels)]) for labels, value in left.items() if _unnamed(labels) in others
        ]
        if op in _COMPARISONS:
            return {labels: value for labels, value, other in pairs if _COMPARISONS[op](value, other)}
        return {_unnamed(labels): _ARITHMETIC[op](value, other) for labels, value, other in pairs}


def _rate(samples: list[tuple[float, float]]) -> float | None:
    """Return the increase per second between the first and the last sample, over restarts of the counter."""
    if len(samples) < 2:
        return None
    pairs = itertools.pairwise(samples)
    increase = sum(after - before if after >= before else after for (_, before), (_, after) in pairs)
    return increase / (samples[-1][0] - samples[0][0])


def _matches(selector: Any, labels: dict[str, str]) -> bool:
    if selector.name and labels["__name__"] != selector.name:
        return False
    for matcher in selector.matchers.matchers:
        value, op = labels.get(matcher.name, ""), str(matcher.op)
        if op.endswith("NotEqual") and value == matcher.value:
            return False
        if op.endswith(".Equal") and value != matcher.value:
            return False
        if op.endswith("Re") and not re.fullmatch(matcher.value, value):
            return False
    return True


def _unnamed(labels: Labels) -> Labels:
    return frozenset((name, value) for name, value in labels if name != "__name__")
