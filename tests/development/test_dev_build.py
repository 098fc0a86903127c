"""The mark of a build of `./slipway dev`: how the release is put back by whoever finds it."""

from __future__ import annotations

import pytest

from slipway.image.reference import version_of
from slipway.naming import DEV_BUILD
from slipway.ops.cluster import connection, dev_build
from slipway.ops.cluster.connection import RefusedError, StackCluster
from slipway.ops.cluster.dev_build import DevBuild
from slipway.ops.development import leftovers
from tests.development.fake_cluster import FakeCluster

BUILD = "registry.example.com/slipway/api:dev-1"


@pytest.fixture
def marked(server: FakeCluster, cluster: StackCluster) -> FakeCluster:
    """The cluster, in which a session has been killed."""
    dev_build.run(cluster, "api", BUILD, "dev-1", DevBuild("ada", "laptop", 7, "2026-11-21", server.release, "src-0"))
    return server


def test_the_release_is_put_back_with_its_label_and_without_our_ownership(marked: FakeCluster, cluster: StackCluster):
    assert marked.image == BUILD
    [line] = dev_build.put_back_each(cluster, dev_build.marked(cluster))
    assert line.startswith("Deployment/api ran a build of ./slipway dev (ada@laptop, process 7, since 2026-11-21); ")
    assert (marked.image, marked.version) == (marked.release, "src-0")
    assert "slipway-dev" not in marked.managers
    assert dev_build.marked(cluster) == []


def test_a_change_by_somebody_else_meanwhile_is_no_reason_to_give_up(marked: FakeCluster, cluster: StackCluster):
    marked.changed_meanwhile = 2
    dev_build.put_back(cluster, marked.deployment)
    assert dev_build.of(marked.deployment) is None


def test_changes_without_an_end_are_an_error(marked: FakeCluster, cluster: StackCluster):
    marked.changed_meanwhile = 100
    with pytest.raises(RefusedError, match=r"cannot patch deployments.apps api in namespace slipway-dev: HTTP 422"):
        dev_build.put_back(cluster, marked.deployment)


@pytest.mark.parametrize("mark", ["{", "[]", '{"user": "ada"}', '{"pid": "7"}'])
def test_a_mark_that_somebody_has_damaged_is_replaced_by_the_recorded_release(
    marked: FakeCluster, cluster: StackCluster, mark: str
):
    marked.deployment["metadata"]["annotations"][DEV_BUILD] = mark
    assert dev_build.of(marked.deployment) is dev_build.UNREADABLE
    assert dev_build.notes([marked.deployment], "dev") != []
    assert list(dev_build.put_back_each(cluster, dev_build.marked(cluster))) != []
    assert (marked.image, marked.version) == (marked.release, version_of(marked.release))
    assert dev_build.marked(cluster) == []


def test_a_build_that_cannot_be_replaced_ends_the_update(marked: FakeCluster, cluster: StackCluster):
    marked.changed_meanwhile = 100
    with pytest.raises(RefusedError, match="cannot patch"):
        leftovers.put_back("dev", lambda: cluster)


def test_a_deployment_that_runs_a_release_is_not_touched(server: FakeCluster, cluster: StackCluster):
    dev_build.put_back(cluster, server.deployment)
    assert server.images == []


def test_an_update_does_not_fail_because_the_cluster_cannot_be_read_for_builds(
    marked: FakeCluster, cluster: StackCluster, capsys: pytest.CaptureFixture[str]
):
    def nowhere() -> StackCluster:
        raise connection.ClusterError("the API server does not answer")

    leftovers.put_back("dev", nowhere)
    assert capsys.readouterr().err == ""
    leftovers.put_back("dev", lambda: cluster)
    assert "dev: Deployment/api ran a build of ./slipway dev" in capsys.readouterr().err


def test_a_session_of_another_machine_may_still_run_and_a_dead_process_of_this_one_does_not(server: FakeCluster):
    ours = DevBuild.begin(server.release, "src-0")
    assert (ours.is_ours, ours.may_run) == (True, True)
    assert DevBuild("ada", "another", ours.pid, ours.since, ours.image, "src-0").may_run
    gone = DevBuild(ours.user, ours.host, 2**22 + 1, ours.since, ours.image, "src-0")
    assert (gone.is_ours, gone.may_run) == (False, False)
