"""The gate on releases: a burnt error budget stops an update of its service, and nothing else."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from slipway.objects import Object
from slipway.ops.changes import stack_models
from slipway.ops.changes.comparison import Change
from slipway.ops.monitoring import gate, prometheus
from slipway.ops.monitoring.gate import BudgetBurntError
from slipway.ops.monitoring.prometheus import PrometheusError
from slipway.ops.program import config
from slipway.settings.settings import Settings
from tests.monitoring.conftest import SLO, settings_of
from tests.ops.monitoring.fake_prometheus import FakePrometheus, Result, monitored, spent

BURNT = spent(0.002)
REASON = "this is the fix of #17"


def changed(kind: str, service: str, **after: Any) -> Change:
    """A change of an object of a service: of its spec, unless `after` says otherwise."""

    def side(**content: Any) -> Object:
        return {"metadata": {"name": service, "labels": {"app.kubernetes.io/name": service}}, **content}

    return Change(f"{kind}/{service}", side(spec={"a": 1}), side(**(after or {"spec": {"a": 2}})))


NEW_PODS = changed("Deployment", "api")


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch):
    """`check(BURNT, [NEW_PODS])` asks the gate about an update with these changes."""

    def asked(
        values: dict[str, float | Result] | Exception,
        changes: list[Change] | Exception,
        reason: str = "",
        settings: Settings | None = None,
    ) -> str:
        def connect(*_: object) -> prometheus.Prometheus:
            if isinstance(values, Exception):
                raise values
            return FakePrometheus(values).client

        def of_engine(*_: object) -> list[Change]:
            if isinstance(changes, Exception):
                raise changes
            return changes

        monkeypatch.setattr(config, "settings", lambda _: settings or monitored())
        monkeypatch.setattr(prometheus, "connect", connect)
        monkeypatch.setattr(stack_models, "of_engine", of_engine)
        return gate.check("dev", reason)

    return asked


@pytest.mark.feature("P2", part="refused with the figure")
def test_an_update_of_a_service_whose_budget_is_burnt_is_refused_with_the_figure_and_what_to_do(check: Any):
    with pytest.raises(BudgetBurntError) as refused:
        check(BURNT, [NEW_PODS])
    assert str(refused.value).splitlines() == [
        "dev: the error budget of api is burnt; nothing was changed.",
        "  api: availability: 99.95 % have to be answered without an error in 30d; "
        "0.2 % were not, 4 times the budget; -300 % of it is left",
        "What spent it: ./slipway slo -s dev",
        "A rollback always passes: ./slipway rollback -s dev",
        'If this update is the fix: ./slipway up -s dev --override-budget "REASON", which ./slipway history shows',
        "The objectives are slipway:services.api.slo in stacks/Pulumi.dev.yaml",
    ]


@pytest.mark.feature("P2", part="an override needs a reason")
def test_with_a_reason_it_passes_and_the_reason_is_to_be_recorded(check: Any, capsys: pytest.CaptureFixture[str]):
    assert check(BURNT, [NEW_PODS], REASON) == REASON
    assert f"dev: updated although the error budget is burnt: {REASON}" in capsys.readouterr().err


def test_a_reason_that_was_not_needed_is_not_recorded(check: Any, capsys: pytest.CaptureFixture[str]):
    assert check(spent(0.0001), [NEW_PODS], REASON) == ""
    assert "--override-budget was not needed" in capsys.readouterr().err


@pytest.mark.parametrize(
    "changes",
    [
        [],
        [Change("Deployment/api", {"spec": 1}, {"spec": 1})],
        [changed("Deployment", "web")],
        [changed("HorizontalPodAutoscaler", "api")],
        [changed("PrometheusRule", "api")],
    ],
    ids=["nothing", "the same", "another service", "more pods", "rules"],
)
def test_what_changes_neither_pods_nor_requests_of_that_service_passes(check: Any, changes: Any):
    assert check(BURNT, changes) == ""


def test_an_update_that_cannot_be_previewed_does_not_pass_unseen(check: Any):
    with pytest.raises(stack_models.ModelError, match="`pulumi preview` failed"):
        check(BURNT, stack_models.ModelError("`pulumi preview` failed"))


@pytest.mark.parametrize("kind", ["Deployment", "ConfigMap", "Ingress", "Service"])
def test_what_changes_pods_or_requests_counts(check: Any, kind: str):
    with pytest.raises(BudgetBurntError):
        check(BURNT, [changed(kind, "api")])


@pytest.mark.parametrize("values", [spent(0.0004), {}], ids=["something is left", "nothing is measured"])
def test_no_preview_is_made_while_no_budget_is_burnt(check: Any, values: dict[str, float | Result]):
    assert check(values, AssertionError("a preview was made")) == ""


def test_without_an_answer_from_prometheus_everything_passes_with_a_warning(
    check: Any, capsys: pytest.CaptureFixture[str]
):
    assert check(PrometheusError("Prometheus at http://p:9090 does not answer: refused"), [NEW_PODS]) == ""
    warning = (
        "warning: the error budgets cannot be read, so this update is not checked against them: "
        "Prometheus at http://p:9090 does not"
    )
    assert capsys.readouterr().err.startswith(warning)


def test_a_reason_is_recorded_where_the_budgets_cannot_be_read(check: Any):
    assert check(PrometheusError("Prometheus at http://p:9090 does not answer: refused"), [NEW_PODS], REASON) == REASON


@pytest.mark.parametrize(
    "changes",
    [{"services.api.slo": SLO}, {}, {"monitoring": {"source": "none"}, "services.api.slo": SLO}],
    ids=["objectives alone", "neither", "source none"],
)
def test_a_stack_without_monitoring_is_not_asked_about(check: Any, changes: dict[str, Any]):
    nobody = AssertionError("Prometheus was asked")
    assert check(nobody, nobody, settings=settings_of("dev", changes)) == ""


def test_a_service_may_be_left_out_of_the_gate(check: Any):
    open_ = monitored({"services.api.slo": {**SLO, "gate": False}})
    assert check(AssertionError("Prometheus was asked"), [NEW_PODS], settings=open_) == ""


def test_mistakes_in_the_stack_file_are_left_to_the_engine_to_report(monkeypatch: pytest.MonkeyPatch):
    def refuse(_: str) -> Settings:
        raise pulumi.RunError("stacks/Pulumi.dev.yaml has 1 mistake")

    monkeypatch.setattr(config, "settings", refuse)
    assert gate.check("dev") == ""
