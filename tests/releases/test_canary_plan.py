"""The plan of a canary: which services get one, and with what settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from slipway.objects import UNKNOWN, Object
from slipway.ops.changes import stack_models
from slipway.ops.changes.comparison import Change
from slipway.ops.program import config
from slipway.ops.releases.canary_plan import CanaryPlan, plan
from slipway.releases import Release
from tests import api_server

LIMITS = {"percent": 34, "seconds": 60, "requests": 20, "errorPercent": 5, "p99Milliseconds": 800}
CANARY: dict[str, Any] = {
    "services.api.autoscaling": {"min": 2, "max": 4},
    "services.api.rollout": "canary",
    "services.api.canary": LIMITS,
}
RELEASE = Release(
    "0a1b2c3d",
    {"services": {"api": {}}, "mysql": {"migrationUser": "slipway_migrator"}, "redis": {}},
    "r:src-0@sha256:" + "5" * 64,
)


AT = ("spec", "template", "spec")


def rolled(service: str = "api", *, before: Any = "r:src-0", after: Any = UNKNOWN, **more: Any) -> Change:
    def side(image: Any) -> Object:
        return {"spec": {"template": {"spec": {"containers": [{"name": service, "image": image}]}}}}

    return Change(f"Deployment/{service}", before and side(before), after and side(after), **more)


@pytest.fixture
def planned_by(monkeypatch: pytest.MonkeyPatch) -> Callable[..., CanaryPlan | None]:
    """`planned_by([changes], settings...)`: the plan when the engine would change that."""

    def made(changes: list[Change] | Exception, **settings: Any) -> CanaryPlan | None:
        def of_engine(stack: str) -> list[Change]:
            if isinstance(changes, Exception):
                raise changes
            return changes

        monkeypatch.setattr(stack_models, "of_engine", of_engine)
        given = {key.replace("__", "."): value for key, value in settings.items()}
        monkeypatch.setattr(config, "settings", lambda stack: api_server.settings(stack, {**CANARY, **given}))
        return plan("dev", RELEASE)

    return made


def test_a_service_whose_pods_change_is_tried_with_the_settings_and_image_of_today(
    planned_by: Callable[..., CanaryPlan | None],
):
    plan = planned_by([rolled()], services__web={"rollout": "canary", "canary": {"percent": 50}})
    assert plan and (plan.services, plan.title) == (["api"], "canary of api")
    candidate = plan.candidate
    assert candidate["image"] == {"source": "build", "repository": "registry.example.com/slipway/api"}
    assert candidate["services"]["api"]["canary"] == LIMITS
    assert (candidate["services"]["web"]["rollout"], "canary" in candidate["services"]["web"]) == ("rolling", False)


def secret(name: str) -> Object:
    volumes = [{"name": "secrets", "secret": {"secretName": name}}]
    return {"spec": {"template": {"spec": {"volumes": volumes}}}}


@pytest.mark.parametrize(
    "changes",
    [
        [],
        [rolled(before=None)],
        [rolled(after=None)],
        [rolled(after="r:src-0")],
        [rolled(replaced=True)],
        [rolled("web")],
        [Change("Deployment/api", {"spec": {"replicas": 2}}, {"spec": {"replicas": 3}})],
        [Change("Deployment/api", secret("api-secret-00000000"), secret("api-secret-11111111"))],
        stack_models.ModelError("dev: `pulumi preview` failed: a mistake"),
    ],
    ids=["nothing", "new", "gone", "same", "elsewhere", "another", "more pods", "another secret", "a mistake"],
)
def test_nothing_is_tried_where_no_other_pods_come(planned_by: Callable[..., CanaryPlan | None], changes: Any):
    assert planned_by(changes) is None


def test_without_a_canary_in_the_stack_file_the_engine_is_not_even_asked(planned_by: Callable[..., CanaryPlan | None]):
    asked = AssertionError("it was asked")
    assert planned_by(asked, services__api__rollout="rolling", services__api__canary=None) is None


def test_a_service_that_needs_what_the_release_does_not_run_is_not_tried(
    planned_by: Callable[..., CanaryPlan | None], capsys: pytest.CaptureFixture[str]
):
    needs = ["mysql", "redis", "later"]
    assert planned_by([rolled()], services__later={}, services__api__needs=needs) is None
    assert "dev: api gets no canary: it needs later, which the release in force" in capsys.readouterr().err


def test_a_service_whose_port_changes_is_not_tried_since_the_policies_in_force_open_the_old_one(
    planned_by: Callable[..., CanaryPlan | None], capsys: pytest.CaptureFixture[str]
):
    assert planned_by([rolled()], services__api__ports={"http": 3000}) is None
    assert "dev: api gets no canary: it needs port 3000, which the release in force" in capsys.readouterr().err


@pytest.mark.parametrize(("user", "told"), [("another", "another"), (None, "slipway")])
def test_a_migration_by_an_account_that_the_running_server_has_not_made_is_not_tried(
    planned_by: Callable[..., CanaryPlan | None], capsys: pytest.CaptureFixture[str], user: str | None, told: str
):
    assert planned_by([rolled()], mysql__migrationUser=user) is None
    assert f"dev: api gets no canary: it needs migrations as {told}, which the release" in capsys.readouterr().err


def test_a_managed_server_may_have_any_account_for_a_migration_that_is_tried(
    planned_by: Callable[..., CanaryPlan | None],
):
    managed = {"source": "managed", "host": "mysql.example.com", "cidr": "10.0.0.0/8", "migrationUser": "another"}
    assert planned_by([rolled()], mysql=managed)
