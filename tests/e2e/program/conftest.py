"""Fixtures of a stack whose pods are played."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from lightkube.core.exceptions import ApiError
from lightkube.models.core_v1 import NodeSpec, Taint
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import Namespace, Node

from tests.e2e.program.played_stack import EXECUTABLE, OFFLINE, Cluster, Kubelet, Stack


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    if not EXECUTABLE.exists():
        pytest.skip("no kubernetes plugin in PULUMI_HOME; run `make up` and `. ./activate`")
    found = Cluster()
    found.client.get(Namespace, "default")
    return found


@pytest.fixture
def stack(tmp_path: Path, cluster: Cluster) -> Iterator[Stack]:
    made = Stack(tmp_path, cluster)
    yield made
    try:
        cluster.client.delete(Namespace, made.namespace)
    except ApiError as error:
        assert error.status.code == 404


@pytest.fixture
def kubelet(stack: Stack) -> Iterator[Kubelet]:
    out_of_reach = NodeSpec(taints=[Taint(key="slipway/e2e", effect="NoSchedule")])
    stack.client.create(Node(metadata=ObjectMeta(name=stack.namespace), spec=out_of_reach))
    player = Kubelet(stack.client, stack.namespace, stack.namespace)
    player.start()
    yield player
    stack.client.delete(Namespace, stack.namespace)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and stack.exists(Namespace, stack.namespace):
        time.sleep(0.2)
    player.ended.set()
    stack.client.delete(Node, stack.namespace)


@pytest.fixture
def offline() -> None:
    if not OFFLINE:
        pytest.skip("a promise of the offline plugin only")
