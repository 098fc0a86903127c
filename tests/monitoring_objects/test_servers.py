"""Prometheus and Alertmanager in the stack's namespace: pods, volumes, connections and names."""

from __future__ import annotations

from typing import Any

import kubernetes_validate
import pulumi
import pytest

from slipway.ops.program import recorder
from slipway.ops.program.recorder import declare
from slipway.rules import house_rules
from tests.conftest import Changed, Declare, with_changes
from tests.monitoring_objects.declared import CLUSTER, IMAGE, MAIL, RECEIVERS, SERVERS, file, pod, without_metrics
from tests.program.test_network import peers, policy

BOTH = ("prometheus", "alertmanager")


@pytest.mark.parametrize("version", ["1.34", "1.37"])
def test_every_object_is_valid_for_the_oldest_and_newest_kubernetes(changed: Changed, version: str):
    manifests = changed("dev", CLUSTER).manifests().values()
    assert {"StatefulSet", "PersistentVolumeClaim"} <= {manifest["kind"] for manifest in manifests}
    for manifest in manifests:
        kubernetes_validate.validate(manifest, version, strict=True)


@pytest.mark.parametrize("stack", ["dev", "staging", "prod"])
def test_the_servers_keep_every_house_rule(changed: Changed, stack: Any):
    before = house_rules.check([*changed(stack, {}).manifests().values()], stack)
    assert house_rules.check([*changed(stack, CLUSTER).manifests().values()], stack) == before


@pytest.mark.parametrize("server", BOTH)
def test_a_server_is_restricted_sized_and_probed(changed: Changed, server: str):
    spec = pod(changed("dev", CLUSTER), server)
    [container] = spec["containers"]
    assert container["image"] == IMAGE
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert spec["securityContext"]["runAsUser"] == 65532
    assert spec["automountServiceAccountToken"] is False
    assert container["resources"]["requests"]["memory"] == container["resources"]["limits"]["memory"]
    paths = [container[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "readiness", "liveness")]
    assert paths == ["/-/healthy", "/-/ready", "/-/healthy"]
    assert {"name": "GOMAXPROCS", "value": "1"} in container["env"]


def test_prometheus_keeps_samples_as_long_and_as_many_as_the_stack_file_says(changed: Changed):
    sized = {**SERVERS, "storage": "10Gi", "storageClass": "fast", "retention": "60d"}
    program = changed("dev", {"monitoring": sized})
    claim = program.manifests()["PersistentVolumeClaim", "prometheus-data"]["spec"]
    assert (claim["resources"]["requests"], claim["storageClassName"]) == ({"storage": "10Gi"}, "fast")
    args = pod(program, "prometheus")["containers"][0]["args"]
    assert "--storage.tsdb.retention.time=60d" in args
    assert "--storage.tsdb.retention.size=8192MB" in args


def test_the_volume_of_prometheus_stays_in_prod_when_monitoring_is_switched_off(changed: Changed):
    def retained(stack: str) -> bool | None:
        resources = changed(stack, CLUSTER).resources
        [claim] = [resource for resource in resources if resource.urn.endswith("::prometheus-data")]
        return claim.options["retain_on_delete"]

    assert (retained("dev"), retained("prod")) == (False, True)


def test_prometheus_finds_pods_by_a_name_that_also_those_have_that_are_not_ready(changed: Changed):
    manifests = changed("dev", CLUSTER).manifests()
    address = manifests["Service", "api-metrics"]["spec"]
    assert (address["clusterIP"], address["publishNotReadyAddresses"]) == ("None", True)
    assert address["selector"] == manifests["Service", "api"]["spec"]["selector"]
    assert [port["targetPort"] for port in address["ports"]] == ["admin"]
    jobs = {job["job_name"]: job for job in file(changed("dev", CLUSTER), "prometheus.yml")["scrape_configs"]}
    assert jobs["api"]["dns_sd_configs"] == [
        {"names": ["api-metrics"], "type": "A", "port": 9090, "refresh_interval": "15s"}
    ]


def test_series_are_labelled_with_service_and_namespace(changed: Changed):
    jobs = file(changed("dev", CLUSTER), "prometheus.yml")["scrape_configs"]
    assert [job["job_name"] for job in jobs] == ["api", "web", "prometheus", "alertmanager"]
    for job in jobs:
        labels = {entry["target_label"]: entry["replacement"] for entry in job["relabel_configs"]}
        assert labels == {"service": job["job_name"], "namespace": "slipway-dev"}


def test_metrics_are_scraped_where_the_app_serves_them(changed: Changed):
    elsewhere = {"ports": {"extra": {"metrics": {"port": 2112}}}, "metrics": {"path": "/prom", "port": "metrics"}}
    program = changed("dev", {**CLUSTER, **{f"services.web.{key}": value for key, value in elsewhere.items()}})
    [job] = [job for job in file(program, "prometheus.yml")["scrape_configs"] if job["job_name"] == "web"]
    assert (job["metrics_path"], job["dns_sd_configs"][0]["port"]) == ("/prom", 2112)
    assert {"port": 2112, "protocol": "TCP"} in [
        port
        for rule in policy(program, "web")["ingress"]
        if {"podSelector": {"matchLabels": {"slipway/service": "prometheus"}}} in rule["from"]
        for port in rule["ports"]
    ]


def test_a_service_without_metrics_is_not_scraped(changed: Changed):
    program = changed("dev", {**CLUSTER, **without_metrics("web")})
    assert "web" not in [job["job_name"] for job in file(program, "prometheus.yml")["scrape_configs"]]
    assert ("Service", "web-metrics") not in program.manifests()


# --- connections


@pytest.mark.feature("E5", part="monitoring")
def test_prometheus_reaches_metrics_and_alertmanager_and_nobody_reaches_it(changed: Changed):
    program = changed("dev", CLUSTER)
    own = policy(program, "prometheus")
    assert own.get("ingress") is None
    opened = {
        (rule["to"][0]["podSelector"]["matchLabels"]["slipway/service"], rule["ports"][0]["port"])
        for rule in own["egress"]
    }
    assert opened == {("api", 9090), ("web", 9090), ("alertmanager", 9093)}


@pytest.mark.feature("E5", part="monitoring")
def test_alertmanager_reaches_its_receivers_and_only_prometheus_reaches_it(changed: Changed):
    own = policy(changed("dev", CLUSTER), "alertmanager")
    assert peers(own["ingress"], "from") == [{"podSelector": {"matchLabels": {"slipway/service": "prometheus"}}}]
    assert {peer["ipBlock"]["cidr"] for peer in peers(own["egress"], "to")} == {"10.40.0.0/24"}
    assert sorted({port["port"] for rule in own["egress"] for port in rule["ports"]}) == [443, 587]


def test_the_monitoring_of_the_cluster_may_query_prometheus(changed: Changed):
    program = changed("dev", {**CLUSTER, "cluster.monitoringNamespace": "monitoring"})
    [rule] = policy(program, "prometheus")["ingress"]
    assert rule["from"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
    assert rule["ports"] == [{"port": 9090, "protocol": "TCP"}]


# --- what is there, and what it costs


def test_without_receivers_there_is_no_alertmanager_and_no_alert_about_it(changed: Changed):
    program = changed("dev", {"monitoring": {"source": "cluster", "image": IMAGE}})
    assert ("StatefulSet", "alertmanager") not in program.manifests()
    config = file(program, "prometheus.yml")
    assert config["alerting"] == {"alertmanagers": []}
    assert "alertmanager" not in str(file(program, "rules.yml")).lower()


def test_by_default_a_stack_has_no_monitoring(program: Declare):
    kinds = {kind for kind, _ in program("dev").manifests()}
    names = {name for _, name in program("dev").manifests()}
    assert not kinds & {"PodMonitor", "PrometheusRule"}
    assert not {name for name in names if "prometheus" in name or "metrics" in name}


def test_the_quota_has_room_for_both_servers(changed: Changed):
    def hard(changes: dict[str, Any]) -> dict[str, str]:
        return changed("dev", changes).manifests()["ResourceQuota", "quota"]["spec"]["hard"]

    without, with_both = hard({}), hard(CLUSTER)
    assert int(with_both["pods"]) - int(without["pods"]) == 2
    assert int(with_both["limits.memory"][:-2]) - int(without["limits.memory"][:-2]) == 256 + 64


def test_a_change_of_a_rule_or_receiver_restarts_the_server_that_reads_it_and_no_other(changed: Changed):
    def read(changes: dict[str, Any]) -> tuple[str, str]:
        objects = changed("dev", changes)
        [files] = [v["configMap"]["name"] for v in pod(objects, "prometheus")["volumes"] if "configMap" in v]
        [secret] = [v["secret"]["secretName"] for v in pod(objects, "alertmanager")["volumes"] if "secret" in v]
        return files, secret

    files, secret = read(CLUSTER)
    with_slo = read({**CLUSTER, "services.api.slo": {"availability": 99.9}})
    assert (with_slo[0] != files, with_slo[1] == secret) == (True, True)
    fewer = {"monitoring": {**SERVERS, "receivers": {"pager": RECEIVERS["pager"]}}}
    assert (read(fewer)[0] == files, read(fewer)[1] != secret) == (True, True)


def test_rules_of_objectives_and_of_monitoring_itself_are_evaluated(changed: Changed):
    program = changed("dev", {**CLUSTER, "services.api.slo": {"availability": 99.9}})
    groups = file(program, "rules.yml")["groups"]
    names = {rule.get("alert") or rule["record"] for group in groups for rule in group["rules"]}
    assert {"RuleEvaluationFails", "AlertsNotDelivered", "AlertmanagerDown", "NotificationsFail"} <= names
    assert "slo:sli_error:ratio_rate5m" in names


def test_a_rollback_does_not_take_monitoring_away(changed: Changed):
    releases = [
        manifest
        for (kind, name), manifest in changed("dev", CLUSTER).manifests().items()
        if (kind, name) == ("ConfigMap", "release")
    ]
    assert releases
    assert all("monitoring" not in str(release["data"]) for release in releases)


# --- images


def test_images_that_make_up_has_built_are_read_from_files_and_a_missing_file_is_reported(changed: Changed):
    files = {"imageFiles": "nowhere", "monitoring": {"source": "cluster", "receivers": {"pager": RECEIVERS["pager"]}}}
    for server in BOTH:
        image = pod(changed("local", files), server)["containers"][0]["image"]
        assert image.startswith(f"localhost:5000/slipway/{server}@sha256:")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recorder, "MONITORING", ("prometheus",))
        with pytest.raises(pulumi.RunError, match=r"imageFiles: \S+/alertmanager is missing or empty; `make up` makes"):
            declare("local", with_changes("local", files))


@pytest.mark.parametrize("server", BOTH)
def test_an_update_does_not_fail_because_of_a_server_that_does_not_start(changed: Changed, server: str):
    """A rollback would not help: it takes today's rules, receivers and images."""
    metadata = changed("dev", CLUSTER).manifests()["StatefulSet", server]["metadata"]
    assert metadata["annotations"]["pulumi.com/skipAwait"] == "true"


def test_mail_without_a_login_is_a_receiver_without_any_secret(changed: Changed):
    program = changed("dev", {"monitoring": {**SERVERS, "receivers": {"team": MAIL}}})
    assert ("StatefulSet", "alertmanager") in program.manifests()
