"""Checks run at the same time, and none spoils another."""

from __future__ import annotations

import threading

from slipway.ops.errors import UserError
from slipway.ops.prerequisites.result import Finding, Problem, failed, run


def test_checks_run_at_the_same_time_and_are_reported_in_their_order():
    all_run = threading.Barrier(3, timeout=10)

    def check(fact: str) -> Finding:
        all_run.wait()
        return Finding(fact)

    found = run({name: lambda name=name: check(name) for name in "abc"}, deadline=20)
    assert list(found.items()) == [("a", Finding("a")), ("b", Finding("b")), ("c", Finding("c"))]


def test_a_check_that_does_not_end_fails_at_its_deadline_and_the_others_count():
    never = threading.Event()

    def hangs() -> Finding:
        never.wait()
        return Finding("")

    found = run({"slow": hangs, "fast": lambda: Finding("1")}, deadline=0.2)
    assert found["slow"].problems[0].cause.startswith("no answer within")
    assert found["fast"] == Finding("1")
    never.set()


def test_a_check_that_fails_itself_is_unknown_and_an_error_for_the_user_is_a_failure():
    def broken() -> Finding:
        raise KeyError("gitVersion")

    def refused() -> Finding:
        raise UserError("no such stack")

    found = run({"broken": broken, "refused": refused})
    assert (found["broken"].state, found["broken"].fact) == ("unknown", "not checked: KeyError: 'gitVersion'")
    assert (found["refused"].state, found["refused"].problems[0].cause) == ("failed", "no such stack")
    assert failed("cause", "fix").problems == (Problem("cause", "fix"),)
