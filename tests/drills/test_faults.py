"""The faults of the drills do what they say, and nothing else."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from local.node.certificates import HOSTS, SERVER, CertificateFolder, Leaf
from slipway.ops.drills import faults
from slipway.ops.drills.context import DrillContext
from slipway.ops.drills.traffic import EXPIRED, Target
from tests import namespace as ns
from tests.api_server import ApiServer, cluster
from tests.drills.fake_stack import TWO_PODS, FakeStack, FakeTraffic
from tests.drills.https_server import answered_with

pytestmark = pytest.mark.usefixtures("no_time_passes")


class TokenHolder:
    """Somebody whose tokens are taken as long as the key is that they were signed with."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.refresh()

    def refresh(self) -> None:
        self.access = self.file.read_text()

    def is_accepted(self, token: str) -> bool:
        return token == self.file.read_text()


@pytest.mark.parametrize(("rolls", "passed"), [("api", True), ("mysql", False)])
def test_a_leaked_key_is_replaced_and_only_its_readers_restart(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, rolls: str, passed: bool
):
    file = tmp_path / "signing-key"
    file.write_text("leaked")
    monkeypatch.setattr(faults, "ROOT", tmp_path)

    @contextmanager
    def test_user(_: DrillContext) -> Generator[TokenHolder]:
        yield TokenHolder(file)

    monkeypatch.setattr(faults, "test_user", test_user)
    came = iter([{"api": "1", "mysql": "1"}, {"api": "1", "mysql": "1", rolls: "2"}])
    monkeypatch.setattr(faults, "revisions", lambda _: next(came))
    monkeypatch.setattr(DrillContext, "deploy", lambda _: None)
    users: Any = FakeTraffic(Target("http://served.localhost"))
    running = DrillContext(cluster(FakeStack(), {"secretFiles": "."}), "api", users)
    faults.leaked_secret(running)
    assert file.read_text() != "leaked"
    assert file.stat().st_mode & 0o777 == 0o600
    assert [check.passed for check in running.checks] == [True, True, True, passed]


def test_the_certificate_of_the_drill_has_expired_and_nothing_else_is_wrong_with_it(tmp_path: Path):
    CertificateFolder(tmp_path).authority("ca", "drill CA")
    CertificateFolder(tmp_path).issue(Leaf("tls", HOSTS[0], (SERVER,), names=HOSTS))
    good = {name: (tmp_path / name).read_text() for name in ("tls.crt", "tls.key")}
    bad = {name: faults.base64.b64decode(text).decode() for name, text in faults.expired_tls_data(tmp_path).items()}
    assert [answered_with(certificate, tmp_path) for certificate in (good, bad)] == ["200", EXPIRED]


def test_revisions_are_those_of_the_newest_pods():
    store = ns.stateful_set("mysql")
    store["status"]["updateRevision"] = "mysql-5d8f"
    found = cluster(
        ApiServer(
            {
                "deployments": [ns.deployment()],
                "statefulsets": [store],
                "replicasets": [ns.replica_set("old"), ns.replica_set("new")],
            }
        )
    )
    assert faults.revisions(found) == {"api": f"api-{ns.POD_HASHES['new']}", "mysql": "mysql-5d8f"}


OTHER_APP: dict[str, Any] = {**TWO_PODS, "services.api.check": "/health"}


def running_other_app(changes: dict[str, Any]) -> DrillContext:
    traffic: Any = FakeTraffic(Target("http://served.localhost/health"))
    return DrillContext(cluster(FakeStack(), {**OTHER_APP, **changes}), "api", traffic)


def test_with_another_app_redis_goes_and_comes_back_under_requests_to_its_check_path_alone():
    running = running_other_app({})
    faults.redis_down(running)
    assert [check.expected.partition(" within")[0] for check in running.checks] == [
        "Redis is gone",
        "Redis is ready again",
    ]
    assert all(check.passed for check in running.checks)
    assert "only GET /health is measured" in running.timeline[0][1]


def test_with_another_app_a_leaked_key_is_replaced_and_restarts_are_counted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    file = tmp_path / "signing-key"
    file.write_text("leaked")
    monkeypatch.setattr(faults, "ROOT", tmp_path)
    came = iter([{"api": "1"}, {"api": "2"}])
    monkeypatch.setattr(faults, "revisions", lambda _: next(came))
    monkeypatch.setattr(DrillContext, "deploy", lambda _: None)
    running = running_other_app({"secretFiles": "."})
    faults.leaked_secret(running)
    assert file.read_text() != "leaked"
    assert [(check.expected, check.passed) for check in running.checks] == [("only api restarts", True)]
