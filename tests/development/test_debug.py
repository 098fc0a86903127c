"""`./slipway dev --debug`: what a debugged service takes in the cluster, and that the release gets all of it back."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from slipway.ops.cluster import connection, dev_build
from slipway.ops.cluster.connection import StackCluster
from slipway.ops.development import delve, session
from slipway.ops.development.errors import DevError
from slipway.ops.development.forward import Forward
from slipway.ops.development.session import Session
from slipway.ops.development.target import Target
from slipway.ops.program import config
from slipway.settings.sections.images import Image
from tests.development.fake_cluster import FakeCluster

pytestmark = pytest.mark.usefixtures("pushed")

PROBED = {
    "livenessProbe": {"failureThreshold": 3, "periodSeconds": 10},
    "readinessProbe": {"failureThreshold": 2},
    "resources": {"limits": {"memory": "64Mi"}, "requests": {"memory": "64Mi"}},
    "env": [{"name": "GOMEMLIMIT", "value": "57MiB"}],
}
# Prints as kubectl does, and notes which pod it leads to.
KUBECTL = """#!/bin/sh
echo "$@" >> "$(dirname "$0")/forwarded"
echo "Forwarding from 127.0.0.1:2345 -> 2345"
exec sleep 60
"""


@pytest.fixture
def forwarded(app: Path) -> Path:
    """The file with the arguments of each port-forward."""
    kubectl = app.parent / "bin" / "kubectl"
    kubectl.write_text(KUBECTL)
    kubectl.chmod(0o755)
    return app.parent / "bin" / "forwarded"


@pytest.fixture
def debugged(
    cluster: StackCluster,
    server: FakeCluster,
    image: Image,
    forwarded: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Session:
    """A session that debugs the sources of the release."""
    dlv = forwarded.with_name("dlv")
    dlv.write_text("delve\n")
    monkeypatch.setattr(delve, "program", lambda _: dlv)
    container = server.deployment["spec"]["template"]["spec"]["containers"][0]
    container.update(copy.deepcopy(PROBED))
    server.released_container = copy.deepcopy(container)
    server.autoscaler = {
        "metadata": {"name": "api", "resourceVersion": "1"},
        "spec": {"minReplicas": 2, "maxReplicas": 4},
    }
    target = Target("api", image, ("api",))
    started = Session(cluster, [target], debugger=Forward(cluster))
    started.begin()
    monkeypatch.setattr(started, "look", _interrupt)
    with pytest.raises(KeyboardInterrupt):
        started.follow()
    return started


def container_of(server: FakeCluster) -> dict[str, object]:
    return server.deployment["spec"]["template"]["spec"]["containers"][0]


def test_the_program_starts_under_delve_which_listens_on_the_loopback_of_the_pod(
    debugged: Session, server: FakeCluster
):
    command = container_of(server)["command"]
    assert isinstance(command, list)
    assert command[:3] == ["/dlv", "exec", "--headless"]
    assert "--listen=127.0.0.1:2345" in command
    assert command[-2:] == ["/api", "--"]
    assert server.version.endswith("-debug")
    debugged.end()


def test_a_paused_process_is_not_killed_and_is_the_only_one_that_serves(debugged: Session, server: FakeCluster):
    container = container_of(server)
    for probe in ("livenessProbe", "readinessProbe"):
        assert container[probe]["failureThreshold"] == delve.PATIENCE  # pyright: ignore[reportIndexIssue]
    assert server.autoscaler is not None
    assert server.autoscaler["spec"] == {"minReplicas": 1, "maxReplicas": 1}
    assert server.deployment["spec"]["replicas"] == 1
    debugged.end()


def test_the_terminal_says_how_to_connect_and_the_port_leads_to_the_pod(
    debugged: Session, forwarded: Path, capsys: pytest.CaptureFixture[str]
):
    assert debugged.debugger is not None
    debugged.debugger.close()  # as kubectl ends with its pod
    Session.look(debugged)
    assert f"api-1 waits for a debugger: dlv connect 127.0.0.1:{debugged.debugger.port}\n" in capsys.readouterr().err
    assert "port-forward --address 127.0.0.1 pod/api-1 " in forwarded.read_text()
    debugged.end()
    assert not debugged.debugger.is_open


def test_at_the_end_the_release_gets_back_all_that_debugging_took(debugged: Session, server: FakeCluster):
    assert debugged.end()
    assert container_of(server) == {**PROBED, "name": "api", "image": server.release}
    assert server.deployment["spec"]["replicas"] == 3
    assert server.autoscaler is not None
    assert server.autoscaler["spec"] == {"minReplicas": 2, "maxReplicas": 4}
    assert dev_build.of(server.deployment) is None
    assert "slipway-dev" not in server.managers


def test_who_finds_the_build_of_a_killed_session_can_put_everything_back(debugged: Session, server: FakeCluster):
    assert debugged.debugger is not None
    debugged.debugger.close()
    assert list(dev_build.put_back_each(debugged.cluster, dev_build.marked(debugged.cluster))) != []
    assert container_of(server) == {**PROBED, "name": "api", "image": server.release}
    assert server.deployment["spec"]["replicas"] == 3


def test_a_command_of_the_service_is_what_delve_starts(debugged: Session):
    released = {"container": {"command": ["/bin/job", "-v"], "args": ["run"]}, "replicas": 1}
    debugged.end()
    found = delve.debugged(released, delve_image())
    assert found["container"]["command"][-3:] == ["/bin/job", "--", "-v"]
    assert found["container"]["args"] == ["run"]


def test_the_command_of_an_image_is_passed_on():
    found = delve.debugged({"container": {}, "replicas": 1}, delve_image())
    assert found["container"]["command"][-2:] == ["/api", "--"]
    assert found["container"]["args"] == ["serve"]


def delve_image() -> delve.OciImage:
    from slipway.image.oci import assemble

    return assemble([], {"Entrypoint": ["/api"], "Cmd": ["serve"]}, "linux/amd64")


@pytest.mark.parametrize(
    ("service", "reason"),
    [(None, "--debug takes one service: api"), ("api", "api is scaled by KEDA")],
    ids=["no service", "KEDA"],
)
def test_what_cannot_be_debugged_is_refused_with_the_reason(
    cluster: StackCluster, server: FakeCluster, monkeypatch: pytest.MonkeyPatch, service: str | None, reason: str
):
    settings = cluster.settings
    keda = settings.services["api"].model_copy(
        update={"replicas": None, "autoscaling": settings.services["api"].autoscaling.model_copy(update={"by": "keda"})}
    )
    settings = settings.model_copy(update={"services": {"api": keda}})
    monkeypatch.setattr(config, "settings", lambda _: settings)
    monkeypatch.setattr(connection, "connect", lambda *_: cluster)
    with pytest.raises(DevError, match=reason):
        session.command("dev", service, debug=True)
    assert server.images == []


def test_a_debugged_program_is_compiled_in_place_without_optimization(
    app: Path, image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from slipway.image.source import prepare

    go = app.parent / "bin" / "go"
    go.write_text(
        go.read_text().replace("#!/bin/sh", '#!/bin/sh\nprintf "%s|" "$PWD" "$GOFLAGS" "$@" >> "$(dirname "$0")/asked"')
    )
    (tmp_path / "context").mkdir()
    prepare(tmp_path / "context", image, "dev-1", debugged=True)
    folder, flags, *arguments = (go.parent / "asked").read_text().split("|")
    assert folder == str(app)
    assert flags == "-buildvcs=false"
    assert arguments[:4] == ["build", "-gcflags=all=-N -l", "-ldflags", "-X main.version=dev-1"]


def _interrupt() -> None:
    raise KeyboardInterrupt
