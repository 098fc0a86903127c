"""The kubernetes plugin in $PULUMI_HOME against a real API server: stand-in and official one pass the same tests.

Pods are simulated: they are bound to a node without a kubelet, and the fixture `kubelet` sets their status. So a test
can let a pod succeed or fail in any way, at once and without an image.
"""

from __future__ import annotations

import json
import re
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import ConfigMap, Namespace, PersistentVolumeClaim, Secret
from lightkube.resources.networking_v1 import Ingress
from lightkube.types import PatchType

from tests.e2e.program.simulated_stack import OFFLINE, Kubelet, Stack, ended, running, waiting

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


def offline_says(text: str, output: str) -> None:
    """Check the output for a message that only the offline plugin prints."""
    assert not OFFLINE or text in output, output


# --- create, update, replace, delete ----------------------------------------------------------------------------------

CONFIG = """
config = k8s.core.v1.ConfigMap("config", metadata=here, data={"size": "%s"}, opts=ours)
k8s.core.v1.ConfigMap("fixed", metadata=here | {"name": "fixed"}, immutable=True, data={"size": "%s"}, opts=ours)
pulumi.export("config", config.metadata.name)
"""


def test_a_program_is_created_updated_replaced_and_deleted(stack: Stack) -> None:
    assert "5 to create" in stack.preview(CONFIG % ("1", "1"))
    stack.up()
    name = stack.run("stack", "output", "config").strip().splitlines()[-1]
    assert re.fullmatch(r"config-[0-9a-f]{8}", name)
    assert stack.is_settled()
    before = stack.live(ConfigMap, "fixed").metadata.uid

    preview = stack.preview(CONFIG % ("2", "2"))
    assert re.search(r'~ size: "1" => "2"', preview)
    assert "1 to update" in preview
    assert "1 to replace" in preview
    stack.up()
    assert stack.live(ConfigMap, name).data == {"size": "2"}, "a mutable ConfigMap is updated under its name"
    assert stack.live(ConfigMap, "fixed").data == {"size": "2"}
    assert stack.live(ConfigMap, "fixed").metadata.uid != before, "an immutable one is replaced"
    assert stack.is_settled()

    stack.run("destroy", "--yes", "--skip-preview")
    assert not stack.exists(Namespace, stack.namespace)


def test_a_field_that_leaves_the_program_leaves_the_object(stack: Stack) -> None:
    program = 'k8s.core.v1.ConfigMap("c", metadata=here | {{"name": "c"}}, data={}, opts=ours)\n'
    stack.up(program.format('{"a": "1", "b": "1"}'))
    stack.up(program.format('{"a": "1"}'))
    assert stack.live(ConfigMap, "c").data == {"a": "1"}


def test_a_new_selector_replaces_a_deployment(stack: Stack) -> None:
    program = """
k8s.apps.v1.Deployment("web", metadata=here | {"name": "web"}, spec={"replicas": 0,
    "selector": {"match_labels": {"app": "%s"}}, "template": {"metadata": {"labels": {"app": "%s"}},
    "spec": {"containers": [{"name": "main", "image": "none", "resources": {"limits": {"cpu": "1000m"}}}]}}}, opts=ours)
"""
    stack.up(program % ("a", "a"))
    assert stack.is_settled(), "a quantity that the API server normalizes is no change"
    assert "1 to replace" in stack.preview(program % ("b", "b"))
    stack.up()
    assert stack.live(Deployment, "web").spec.selector.matchLabels == {"app": "b"}


def test_an_object_of_someone_else_is_adopted_only_by_an_import(stack: Stack) -> None:
    stack.up("")
    theirs = ConfigMap(metadata=ObjectMeta(name="c", namespace=stack.namespace), data={"a": "theirs"})
    stack.client.create(theirs)
    program = 'k8s.core.v1.ConfigMap("c", metadata=here | {"name": "c"}, data={"a": "%s"}, opts=ours)'
    output = stack.up(program % "ours", fails=True)
    assert "already exists" in output
    assert "pulumi import" in output
    assert stack.live(ConfigMap, "c").data == {"a": "theirs"}

    provider = f"cluster={stack.state()['cluster']['urn']}"
    words = ("import", "kubernetes:core/v1:ConfigMap", "c", f"{stack.namespace}/c", "--provider", provider)
    stack.run(*words, "--yes", "--skip-preview", "--generate-code=false", "--protect=false")
    stack.declare(program % "theirs")
    # The official plugin for parity runs has no schema, so its imports lack inputs until the next `up`.
    assert stack.is_settled() or not OFFLINE
    stack.up(program % "ours")
    assert stack.live(ConfigMap, "c").data == {"a": "ours"}


def test_a_preview_works_with_unknown_values(stack: Stack) -> None:
    stack.up("")
    program = """
first = k8s.core.v1.Service("first", metadata=here, spec={"ports": [{"port": 80}]}, opts=ours)
k8s.core.v1.ConfigMap("second", metadata=here | {"name": "second"}, data={"address": first.spec.cluster_ip}, opts=ours)
"""
    assert "2 to create" in stack.preview(program)
    stack.up()
    assert re.fullmatch(r"[0-9.]+", stack.live(ConfigMap, "second").data["address"])
    assert stack.is_settled()


def test_invalid_objects_are_refused_before_anything_changes(stack: Stack, offline: None) -> None:
    stack.up("")
    output = stack.preview('k8s.core.v1.Service("s", metadata=here, spec={"portz": []}, opts=ours)', fails=True)
    assert 'unknown field "spec.portz"' in output
    output = stack.preview('k8s.scheduling.v1.PriorityClass("p", value=1, opts=ours)', fails=True)
    assert "kubernetes:scheduling.k8s.io/v1:PriorityClass is not known to the offline kubernetes plugin" in output


def test_a_custom_resource_may_be_previewed_before_its_definition_is_there(stack: Stack) -> None:
    program = """
k8s.apiextensions.CustomResource("c", api_version="none.example.com/v1", kind="Thing", metadata=here, opts=ours)
"""
    assert "Thing: (create)" in stack.preview(program)
    assert "none.example.com/v1" in stack.up(program, fails=True)


# --- secrets ----------------------------------------------------------------------------------------------------------


def test_the_state_and_the_output_hold_no_secret_in_plain_text(stack: Stack) -> None:
    canary = "canary-7f3b9d2e51"
    encoded = "Y2FuYXJ5LTdmM2I5ZDJlNTE="
    program = f"""
secret = k8s.core.v1.Secret("s", metadata=here | {{"name": "s"}}, string_data={{"token": "{canary}"}}, opts=ours)
k8s.core.v1.ConfigMap("c", metadata=here, data={{"copy": pulumi.Output.secret("{canary}")}}, opts=ours)
deployment(replicas=0, env=[{{"name": "TOKEN", "value": pulumi.Output.secret("{canary}")}}])
"""
    output = stack.up(program)
    output += stack.run("refresh", "--yes", "--skip-preview", "--diff")
    output += stack.up(program.replace('"token"', '"token2"')) + stack.preview()
    assert stack.live(Secret, "s").data == {"token2": encoded}
    state = "".join(path.read_text() for path in (stack.folder / "state").rglob("*.json*"))
    assert stack.namespace in state, "the state was searched"
    for hidden in (canary, encoded):
        assert hidden not in state
        assert hidden not in output


# --- drift ------------------------------------------------------------------------------------------------------------


def test_drift_shows_after_a_refresh_and_is_repaired(stack: Stack) -> None:
    stack.up('k8s.core.v1.ConfigMap("c", metadata=here | {"name": "c"}, data={"a": "ours"}, opts=ours)')
    stack.client.patch(ConfigMap, "c", {"data": {"a": "theirs", "b": "new"}}, namespace=stack.namespace)
    stack.run("refresh", "--yes", "--skip-preview")
    # The official plugin repairs it too, but its preview ends in a conflict.
    assert not OFFLINE or '~ a: "theirs" => "ours"' in stack.preview()
    stack.up()
    assert stack.live(ConfigMap, "c").data["a"] == "ours"
    stack.run("refresh", "--yes", "--skip-preview", "--expect-no-changes")

    stack.client.delete(ConfigMap, "c", namespace=stack.namespace)
    stack.run("refresh", "--yes", "--skip-preview")
    stack.up()
    assert stack.live(ConfigMap, "c").data == {"a": "ours"}


def test_replicas_that_an_autoscaler_owns_are_kept(stack: Stack, kubelet: Kubelet) -> None:
    stack.up("deployment(replicas=None)")
    stack.client.patch(Deployment.Scale, "web", {"spec": {"replicas": 2}}, namespace=stack.namespace)
    stack.run("refresh", "--yes", "--skip-preview")
    assert stack.is_settled()
    stack.up("deployment(replicas=None, deadline=500)")
    assert stack.live(Deployment, "web").spec.replicas == 2


# --- waits ------------------------------------------------------------------------------------------------------------


def test_up_ends_when_the_pods_are_available(stack: Stack, kubelet: Kubelet) -> None:
    kubelet.status = waiting("ContainerCreating", "")
    threading.Timer(12, lambda: setattr(kubelet, "status", running)).start()
    stack.up(
        "deployment()\n"
        'k8s.core.v1.Service("web", metadata=here | {"name": "web"}, spec={"selector": {"app": "web"},'
        ' "ports": [{"port": 80}]}, opts=ours)'
    )
    assert stack.live(Deployment, "web").status.availableReplicas == 2
    assert stack.is_settled()


def test_a_rollout_that_cannot_work_fails_with_the_reason_and_the_next_up_goes_on(
    stack: Stack, kubelet: Kubelet
) -> None:
    kubelet.status = waiting("ImagePullBackOff", "no such image none:1")
    output = stack.up("deployment(deadline=5)", fails=True)
    offline_says("container main: ImagePullBackOff: no such image none:1", output)
    assert "web" in stack.state(), "the Deployment exists, so it stays in the state"
    kubelet.status = running
    stack.up()
    assert stack.is_settled()


def test_a_failed_rollout_says_why_its_pods_cannot_be_created(stack: Stack, kubelet: Kubelet) -> None:
    quota = 'k8s.core.v1.ResourceQuota("quota", metadata=here, spec={"hard": {"pods": "0"}}, opts=ours)\n'
    stack.up(quota)
    offline_says("exceeded quota", stack.up(quota + "deployment(deadline=5)", fails=True))


def test_a_failed_job_says_how_its_pod_ended(stack: Stack, kubelet: Kubelet) -> None:
    job = """
template = pods()
template["spec"]["restart_policy"] = "Never"
k8s.batch.v1.Job("job", metadata=here | {"name": "job"}, spec={"backoff_limit": 0, "template": template}, opts=ours)
"""
    kubelet.status = ended(137, "OOMKilled")
    output = stack.up(job, fails=True)
    assert "BackoffLimitExceeded" in output
    offline_says("OOMKilled, exit code 137", output)
    kubelet.status = ended(0, "Completed")
    stack.up(job.replace('"job"', '"job2"'))
    assert stack.is_settled()


def test_an_update_waits_for_the_ingress_controller_unless_skip_await_is_set(stack: Stack) -> None:
    program = """
k8s.networking.v1.Ingress("web", metadata=here | {"name": "web", "annotations": {%s}},
    spec={"ingress_class_name": "nobody",
          "default_backend": {"service": {"name": "web", "port": {"number": 80}}}}, opts=ours)
k8s.core.v1.Service("web", metadata=here | {"name": "web"}, spec={"ports": [{"port": 80}], "type": "ExternalName",
    "external_name": "example.com"}, opts=ours)
"""
    stack.up(program % '"pulumi.com/skipAwait": "true"')
    output = stack.up(program % '"pulumi.com/timeoutSeconds": "3"', fails=True)
    offline_says("no controller of the ingress class nobody", output)
    status = {"status": {"loadBalancer": {"ingress": [{"ip": "127.0.0.1"}]}}}
    stack.client.patch(Ingress.Status, "web", status, namespace=stack.namespace, patch_type=PatchType.MERGE)
    stack.up()
    assert stack.is_settled()


def test_ctrl_c_ends_a_wait_and_the_next_up_goes_on(stack: Stack, kubelet: Kubelet) -> None:
    kubelet.status = waiting("ContainerCreating", "")
    stack.declare("deployment()")
    process = stack.start("up", "--yes", "--skip-preview")
    deadline = time.monotonic() + 60
    while not stack.exists(Deployment, "web"):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.send_signal(signal.SIGINT)
    interrupted = time.monotonic()
    output, _ = process.communicate(timeout=60)
    assert process.returncode != 0, output
    assert time.monotonic() - interrupted < 15, output
    time.sleep(1)
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()], "no plugin outlives the engine"
    kubelet.status = running
    stack.up()
    assert stack.is_settled()


def test_a_deletion_names_the_finalizer_that_blocks_it(stack: Stack) -> None:
    program = """
k8s.core.v1.ConfigMap("c", metadata=here | {"name": "c", "finalizers": %s, "annotations":
    {"pulumi.com/timeoutSeconds": "3"}}, data={}, opts=ours)
"""
    stack.up(program % '["example.com/hold"]')
    output = stack.run("destroy", "--yes", "--skip-preview", fails=True)
    offline_says("held by finalizers example.com/hold", output)
    stack.client.patch(
        ConfigMap, "c", {"metadata": {"finalizers": None}}, namespace=stack.namespace, patch_type=PatchType.MERGE
    )
    stack.run("destroy", "--yes", "--skip-preview")


def test_a_claim_without_a_volume_fails_with_the_reason(stack: Stack, offline: None) -> None:
    program = """
k8s.core.v1.PersistentVolumeClaim("data", metadata=here | {"name": "data", "annotations":
    {"pulumi.com/timeoutSeconds": "3"}}, spec={"storage_class_name": "none-such", "access_modes": ["ReadWriteOnce"],
    "resources": {"requests": {"storage": "1Gi"}}}, opts=ours)
"""
    output = stack.up(program, fails=True)
    assert stack.exists(PersistentVolumeClaim, "data")
    assert "there is no storage class none-such" in output


# --- no cluster -------------------------------------------------------------------------------------------------------


def test_without_a_cluster_a_preview_works_and_nothing_is_lost(stack: Stack, tmp_path: Path) -> None:
    program = 'k8s.core.v1.ConfigMap("c", metadata=here | {"name": "c"}, data={"a": "1"}, opts=ours)'
    stack.up(program)
    unreachable: dict[str, Any] = {
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:9"}}],
        "contexts": [{"name": stack.env["E2E_CONTEXT"], "context": {"cluster": "c", "user": "u"}}],
        "users": [{"name": "u", "user": {}}],
    }
    elsewhere = tmp_path / "kubeconfig"
    elsewhere.write_text(json.dumps({"apiVersion": "v1", "kind": "Config"} | unreachable))
    with_cluster = stack.env
    stack.env = with_cluster | {"KUBECONFIG": str(elsewhere)}
    changed = program.replace('"1"', '"2"')
    assert '~ a: "1" => "2"' in stack.preview(changed)
    started = time.monotonic()
    output = stack.up(changed, fails=True)
    offline_says("127.0.0.1:9", output)
    assert time.monotonic() - started < 60
    stack.run("refresh", "--yes", "--skip-preview", fails=True)
    assert "c" in stack.state()
    stack.env = with_cluster
    stack.up(changed)
    assert stack.live(ConfigMap, "c").data == {"a": "2"}
    assert stack.is_settled()
