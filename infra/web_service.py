"""WebService: the objects of one HTTP service, in reading order."""

from __future__ import annotations

import pod
import pulumi
import yaml
from image import AppImage
from naming import content_name, labels, selector
from pulumi_kubernetes import apps, autoscaling, core, meta, networking, policy
from settings import CERTIFICATE_FILES, Ingress, Settings, Tls


class WebService(pulumi.ComponentResource):
    """One HTTP service: its configuration, pods, address and autoscaling.

    Environment variables and secrets are immutable objects named by their content: a change makes new ones and rolls
    the pods. The config file is one object that keeps its name: running pods read it again.
    """

    url: str | None
    """Address from outside; None for a service that has no ingress."""

    def __init__(
        self,
        name: str,
        settings: Settings,
        image: AppImage,
        namespace: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("slipway:index:WebService", name, None, opts)
        self._name = name
        self._service = settings.services[name]
        self._settings = settings
        self._namespace = namespace

        file, secret = self._file(), self._secret()
        config = pod.Config(
            env=self._env().metadata.name,
            file=file.metadata.name if file else None,
            secret=secret.metadata.name if secret else None,
        )
        deployment = self._deployment(image, config, self._service_account())
        address = self._cluster_address(deployment)
        self._autoscaler(deployment)
        self._disruption_budget()
        ingress = self._service.ingress
        self.url = self._ingress(ingress, address) if ingress else None
        self.register_outputs({"url": self.url})

    def _meta(self, name: pulumi.Input[str], annotations: dict[str, str] | None = None) -> meta.v1.ObjectMetaArgs:
        return meta.v1.ObjectMetaArgs(
            name=name, namespace=self._namespace, labels=labels(self._name), annotations=annotations
        )

    def _child(self, *depends_on: pulumi.Resource) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, depends_on=list(depends_on))

    def _env(self) -> core.v1.ConfigMap:
        data = pod.environment(self._service)
        return core.v1.ConfigMap(
            f"{self._name}-env",
            metadata=self._meta(content_name(f"{self._name}-env", data)),
            data=data,
            immutable=True,
            opts=self._child(),
        )

    def _file(self) -> core.v1.ConfigMap | None:
        if not self._service.file:
            return None
        return core.v1.ConfigMap(
            f"{self._name}-file",
            metadata=self._meta(f"{self._name}-file"),
            data={"config.yaml": yaml.safe_dump(self._service.file)},
            opts=self._child(),
        )

    def _secret(self) -> core.v1.Secret | None:
        if not self._service.secrets:
            return None
        values = pulumi.Output.all(**{name: self._settings.secret(name) for name in self._service.secrets})
        # The name tells that the content changed, not what it is: 8 digits of a SHA-256 over all the values.
        name = pulumi.Output.unsecret(values.apply(lambda data: content_name(f"{self._name}-secret", data)))
        return core.v1.Secret(
            f"{self._name}-secret",
            metadata=self._meta(name),
            type="Opaque",
            string_data=values,
            immutable=True,
            opts=self._child(),
        )

    def _service_account(self) -> core.v1.ServiceAccount:
        return core.v1.ServiceAccount(
            self._name, metadata=self._meta(self._name), automount_service_account_token=False, opts=self._child()
        )

    def _deployment(self, image: AppImage, config: pod.Config, account: core.v1.ServiceAccount) -> apps.v1.Deployment:
        return apps.v1.Deployment(
            self._name,
            metadata=self._meta(self._name),
            spec=apps.v1.DeploymentSpecArgs(
                # replicas is absent on purpose: the autoscaler owns it, and `pulumi up` would undo its choice.
                selector=meta.v1.LabelSelectorArgs(match_labels=selector(self._name)),
                # A serving pod goes only after its successor is ready.
                strategy=apps.v1.DeploymentStrategyArgs(
                    type="RollingUpdate",
                    rolling_update=apps.v1.RollingUpdateDeploymentArgs(max_unavailable=0, max_surge=1),
                ),
                revision_history_limit=5,
                # Below Pulumi's own timeout, so that the cluster's reason is what one reads.
                progress_deadline_seconds=self._service.startup_seconds + 60,
                template=pod.template(self._name, self._service, image.reference, image.version, config),
            ),
            opts=self._child(account),
        )

    def _cluster_address(self, deployment: apps.v1.Deployment) -> core.v1.Service:
        return core.v1.Service(
            self._name,
            metadata=self._meta(self._name),
            spec=core.v1.ServiceSpecArgs(
                type="ClusterIP",
                selector=selector(self._name),
                ports=[core.v1.ServicePortArgs(name="http", port=80, target_port="http")],
            ),
            opts=self._child(deployment),
        )

    def _autoscaler(self, deployment: apps.v1.Deployment) -> autoscaling.v2.HorizontalPodAutoscaler:
        bounds = self._service.autoscaling
        return autoscaling.v2.HorizontalPodAutoscaler(
            self._name,
            metadata=self._meta(self._name),
            spec=autoscaling.v2.HorizontalPodAutoscalerSpecArgs(
                scale_target_ref=autoscaling.v2.CrossVersionObjectReferenceArgs(
                    api_version="apps/v1", kind="Deployment", name=self._name
                ),
                min_replicas=bounds.min,
                max_replicas=bounds.max,
                # CPU only: memory does not come down when load does, so it would only ever scale up.
                metrics=[_cpu_metric(bounds.cpu_percent)],
                behavior=autoscaling.v2.HorizontalPodAutoscalerBehaviorArgs(
                    scale_up=_scaling(stabilization_seconds=0, step="Percent", value=100, period_seconds=15),
                    scale_down=_scaling(stabilization_seconds=300, step="Pods", value=1, period_seconds=60),
                ),
            ),
            opts=self._child(deployment),
        )

    def _disruption_budget(self) -> policy.v1.PodDisruptionBudget:
        return policy.v1.PodDisruptionBudget(
            self._name,
            metadata=self._meta(self._name),
            spec=policy.v1.PodDisruptionBudgetSpecArgs(
                # One at a time, and a pod that is not ready may always go: a drain is slowed, never blocked.
                max_unavailable=1,
                unhealthy_pod_eviction_policy="AlwaysAllow",
                selector=meta.v1.LabelSelectorArgs(match_labels=selector(self._name)),
            ),
            opts=self._child(),
        )

    def _ingress(self, ingress: Ingress, address: core.v1.Service) -> str:
        annotations = {"pulumi.com/skipAwait": "true"} if ingress.await_seconds == 0 else {}
        tls = ingress.tls
        if tls and tls.issuer:
            annotations["cert-manager.io/cluster-issuer"] = tls.issuer
        backend = networking.v1.IngressServiceBackendArgs(
            name=self._name, port=networking.v1.ServiceBackendPortArgs(name="http")
        )
        path = networking.v1.HTTPIngressPathArgs(
            path=ingress.path, path_type="Prefix", backend=networking.v1.IngressBackendArgs(service=backend)
        )
        networking.v1.Ingress(
            self._name,
            metadata=self._meta(self._name, annotations),
            spec=networking.v1.IngressSpecArgs(
                ingress_class_name=ingress.class_name,
                tls=[networking.v1.IngressTLSArgs(hosts=[ingress.host], secret_name=self._certificate(tls))]
                if tls
                else None,
                rules=[
                    networking.v1.IngressRuleArgs(
                        host=ingress.host, http=networking.v1.HTTPIngressRuleValueArgs(paths=[path])
                    )
                ],
            ),
            opts=pulumi.ResourceOptions(
                parent=self, depends_on=[address], custom_timeouts=_at_most(ingress.await_seconds)
            ),
        )
        return f"{'https' if tls else 'http'}://{ingress.host}{ingress.path}".rstrip("/")

    def _certificate(self, tls: Tls) -> pulumi.Input[str]:
        """Name of the Secret with the Ingress' certificate; made here if its content is at hand."""
        if not tls.secret_files:
            return tls.secret_name or f"{self._name}-tls"
        secret = core.v1.Secret(
            f"{self._name}-tls",
            metadata=self._meta(f"{self._name}-tls"),
            type="kubernetes.io/tls",
            string_data={file: self._settings.secret(file) for file in CERTIFICATE_FILES},
            opts=self._child(),
        )
        return secret.metadata.name


def _at_most(seconds: int) -> pulumi.CustomTimeouts | None:
    """A limit on waiting: where nobody publishes an Ingress address, Pulumi would wait for 10 minutes."""
    return pulumi.CustomTimeouts(create=f"{seconds}s", update=f"{seconds}s") if seconds else None


def _scaling(
    *, stabilization_seconds: int, step: str, value: int, period_seconds: int
) -> autoscaling.v2.HPAScalingRulesArgs:
    """Move by at most `value` (Pods or Percent) per period, and only after the need has lasted."""
    return autoscaling.v2.HPAScalingRulesArgs(
        stabilization_window_seconds=stabilization_seconds,
        policies=[autoscaling.v2.HPAScalingPolicyArgs(type=step, value=value, period_seconds=period_seconds)],
    )


def _cpu_metric(percent: int) -> autoscaling.v2.MetricSpecArgs:
    return autoscaling.v2.MetricSpecArgs(
        type="Resource",
        resource=autoscaling.v2.ResourceMetricSourceArgs(
            name="cpu", target=autoscaling.v2.MetricTargetArgs(type="Utilization", average_utilization=percent)
        ),
    )
