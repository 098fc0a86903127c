"""Fixtures of a stack whose pods are simulated."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from lightkube.core.exceptions import ApiError
from lightkube.models.core_v1 import NodeSpec, Taint
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import Namespace, Node

from tests.e2e.program.simulated_stack import EXECUTABLE, OFFLINE, Cluster, Kubelet, Stack


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    """Return the API server, or skip the test if no kubernetes plugin is installed."""
    if not EXECUTABLE.exists():
        pytest.skip("no kubernetes plugin in PULUMI_HOME; run `make up` and `. ./activate`")
    cluster = Cluster()
    cluster.client.get(Namespace, "default")
    return cluster


@pytest.fixture
def stack(tmp_path: Path, cluster: Cluster) -> Iterator[Stack]:
    """Create an empty stack; its namespace is deleted when the test ends."""
    stack = Stack(tmp_path, cluster)
    yield stack
    try:
        cluster.client.delete(Namespace, stack.namespace)
    except ApiError as error:
        assert error.status.code == 404


@pytest.fixture
def kubelet(stack: Stack) -> Iterator[Kubelet]:
    """Create a node, and simulate its kubelet during the test."""
    out_of_reach = NodeSpec(taints=[Taint(key="slipway/e2e", effect="NoSchedule")])
    stack.client.create(Node(metadata=ObjectMeta(name=stack.namespace), spec=out_of_reach))
    kubelet = Kubelet(stack.client, stack.namespace, stack.namespace)
    kubelet.start()
    yield kubelet
    stack.client.delete(Namespace, stack.namespace)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and stack.exists(Namespace, stack.namespace):
        time.sleep(0.2)
    kubelet.ended.set()
    stack.client.delete(Node, stack.namespace)


@pytest.fixture
def offline() -> None:
    """Skip a test of behaviour that only the offline plugin has."""
    if not OFFLINE:
        pytest.skip("only the offline plugin has this behaviour")
