"""`./slipway slo`: what is left of a budget, how fast it burns, what spends it, and the exit code."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from slipway import __main__ as slipway
from slipway.monitoring.slo import objectives
from slipway.ops.monitoring import prometheus, slo
from slipway.ops.monitoring.prometheus import PrometheusError
from slipway.ops.monitoring.slo import ObjectiveState
from slipway.ops.program import config
from tests.ops.monitoring.fake_prometheus import FakePrometheus, Result, monitored, spent

SPENDERS: Result = [
    ({"route": "/v1/shops", "code": "503"}, 60),
    ({"route": "/v1/users", "code": "500"}, 3),
    ({"route": "/v1/login", "code": "500"}, 36),
    ({"route": "/v1/me", "code": "500"}, 1),
    ({"route": "/version", "code": "500"}, 0),
]


def states(server: FakePrometheus) -> list[ObjectiveState]:
    return slo.states(server.client, monitored())


def availability(server: FakePrometheus) -> ObjectiveState:
    return states(server)[0]


def test_what_is_left_is_the_share_of_the_budget_that_no_bad_request_has_spent():
    """99.95 % leave 0.05 %; of that 0.02 % are 40 %."""
    state = availability(FakePrometheus(spent(0.0002)))
    assert state.budget_left == pytest.approx(0.6)
    assert not state.is_burnt
    assert state.text == (
        "availability: 99.95 % have to be answered without an error in 30d; 60 % of the budget is left"
    )


@pytest.mark.parametrize(("share", "burnt"), [(0.00049, False), (0.0005, True), (0.002, True)])
def test_a_budget_is_burnt_when_nothing_is_left_of_it(share: float, burnt: bool):
    assert availability(FakePrometheus(spent(share))).is_burnt is burnt


def test_a_burnt_budget_is_told_with_its_figure():
    state = availability(FakePrometheus(spent(0.002)))
    assert state.left_text == "0.2 % were not, 4 times the budget; -300 % of it is left"


def test_what_no_rule_has_recorded_yet_is_computed_from_the_requests():
    [objective, *_] = objectives(monitored())
    server = FakePrometheus({objective.error_ratio("30d"): 0.0001})
    assert availability(server).budget_left == pytest.approx(0.8)


def test_the_burn_rate_is_the_share_of_bad_requests_in_budgets():
    found = availability(FakePrometheus({**spent(0.0001), **spent_in("1h", 0.0072), **spent_in("3d", 0.0005)}))
    assert found.burn_rates == {"5m": None, "1h": pytest.approx(14.4), "6h": None, "3d": pytest.approx(1)}


def spent_in(window: str, share: float) -> dict[str, float | Result]:
    return {f'slo:sli_error:ratio_rate{window}{{namespace="slipway-dev", service="api", slo="availability"}}': share}


def test_what_spends_the_budget_is_told_by_route_and_code_with_its_share_of_all_errors():
    server = FakePrometheus({**spent(0.001), "sum by (route, code) (increase(http_requests_total": SPENDERS})
    found = availability(server).spenders
    assert [(item.route, item.code, item.share) for item in found] == [
        ("/v1/shops", "503", 0.6),
        ("/v1/login", "500", 0.36),
        ("/v1/users", "500", 0.03),
    ]


def test_slow_requests_are_told_by_route():
    slow: Result = [({"route": "/v1/leaders"}, 5)]
    server = FakePrometheus({**spent(0.02, "latency-p99-250ms"), "sum by (route) (increase(": slow})
    [item] = states(server)[1].spenders
    assert (item.route, item.code, item.share) == ("/v1/leaders", "", 1)
    assert 'le="0.25"' in next(query for query in server.queries if "increase" in query)


def test_nothing_is_asked_about_what_spends_a_budget_that_nothing_has_spent():
    server = FakePrometheus(spent(0))
    states(server)
    assert [query for query in server.queries if "increase" in query] == []


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({**spent(0.0001), **spent(0, "latency-p99-250ms"), **spent(0, "latency-p50-1s")}, 0),
        ({**spent(0.0001), **spent(0.02, "latency-p99-250ms")}, 1),
        (spent(0.0001), 2),
        ({}, 2),
    ],
    ids=["something is left of all", "one is burnt", "one is not measured", "none is measured"],
)
def test_the_exit_code_tells_burnt_from_unknown(values: dict[str, float | Result], code: int):
    assert slo.exit_code(states(FakePrometheus(values))) == code


def test_the_screen_begins_with_what_is_burnt_and_ends_with_what_spent_it():
    values = {**spent(0.002), **spent_in("1h", 0.0072), "sum by (route, code)": SPENDERS}
    lines = slo.screen("dev", states(FakePrometheus(values))).splitlines()
    assert lines[0] == "dev: BURNT: api availability"
    assert lines[2].split("\t")[0] == "service"
    assert lines[3].split() == ["api", "availability", "99.95", "%", "30d", "-300", "%", "-", "14.4", "-", "-"]
    assert lines[-4:] == [
        "what spent api availability:",
        "     60 %  /v1/shops 503",
        "     36 %  /v1/login 500",
        "      3 %  /v1/users 500",
    ]


def test_as_json_the_figures_are_numbers():
    data = json.loads(slo.as_json("dev", states(FakePrometheus(spent(0.002)))))
    assert (data["stack"], data["burnt"]) == ("dev", True)
    first = data["objectives"][0]
    assert (first["service"], first["slo"], first["target"], first["window"]) == ("api", "availability", 0.9995, "30d")
    assert (first["budgetLeft"], first["burnRates"]["5m"], first["spentBy"]) == (-3, None, [])


# The verb


def run(monkeypatch: pytest.MonkeyPatch, server: FakePrometheus | Exception, *options: str) -> tuple[int, str, str]:
    def connect(*_: object) -> prometheus.Prometheus:
        if isinstance(server, Exception):
            raise server
        return server.client

    monkeypatch.setattr(config, "settings", lambda _: monitored())
    monkeypatch.setattr(prometheus, "connect", connect)
    done = CliRunner().invoke(slipway.app, ["slo", "-s", "dev", *options])
    return done.exit_code, done.stdout, done.stderr


def test_the_verb_ends_with_1_when_a_budget_is_burnt(monkeypatch: pytest.MonkeyPatch):
    code, out, _ = run(monkeypatch, FakePrometheus(spent(0.002)))
    assert code == 1
    assert out.startswith("dev: BURNT: api availability\n")


def test_the_verb_ends_with_2_and_one_message_without_an_answer(monkeypatch: pytest.MonkeyPatch):
    code, out, err = run(monkeypatch, PrometheusError("Prometheus at http://p:9090 does not answer: refused"), "--json")
    assert (code, out) == (2, "")
    assert err == "error: Prometheus at http://p:9090 does not answer: refused\n"


def test_a_stack_without_an_objective_is_told_where_to_set_one(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(config, "settings", lambda _: monitored({"services.api.slo": None}))
    monkeypatch.setattr(prometheus, "connect", lambda *_: FakePrometheus().client)
    done = CliRunner().invoke(slipway.app, ["slo", "-s", "dev"])
    assert done.exit_code == 2
    assert "stack dev has no objective. Set one: slipway:services.NAME.slo" in done.stderr
