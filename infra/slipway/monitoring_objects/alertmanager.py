"""Alertmanager in the stack's own namespace: one pod, which tells the receivers of alerts.

Its whole configuration is a Secret: before version 0.26 it reads the address of a webhook from no other file.
Silences are gone with the pod.
"""

from __future__ import annotations

import pulumi
from pulumi_kubernetes import core

from slipway import network
from slipway.environment import Environment
from slipway.monitoring_objects import routing, server
from slipway.monitoring_objects.prometheus import COMPONENT
from slipway.monitoring_objects.scraping import ALERTMANAGER_PORT
from slipway.scope import Scope
from slipway.service import configuration, inputs, pod
from slipway.settings.names import SECRETS_DIR
from slipway.settings.sections.monitoring import ALERTMANAGER
from slipway.settings.settings import Settings
from slipway.stores import one_pod

CONFIG_FILE = "alertmanager.yml"
DATA, DATA_DIR, DATA_MEBIBYTES = "data", "/alertmanager", 32


class Alertmanager(pulumi.ComponentResource):
    """One server, to which Prometheus sends its alerts."""

    def __init__(
        self, settings: Settings, environment: Environment, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("slipway:index:Alertmanager", ALERTMANAGER, None, opts)
        scope = Scope(ALERTMANAGER, settings, environment.namespace, self, environment.retaining, component=COMPONENT)
        network.allow_alertmanager(scope, ALERTMANAGER_PORT)
        account = pod.account(scope, environment.pull_secret)
        secret = configuration.secret_file(
            scope,
            f"{ALERTMANAGER}-secret",
            CONFIG_FILE,
            settings.receiver_secrets,
            lambda values: routing.config(settings, values),
        )
        one_pod.run(scope, _template(scope, secret), ALERTMANAGER_PORT, account, is_awaited=False)
        self.register_outputs({})


def _template(scope: Scope, secret: pulumi.Input[str]) -> core.v1.PodTemplateSpecArgs:
    args = [
        f"--config.file={SECRETS_DIR}/{CONFIG_FILE}",
        f"--storage.path={DATA_DIR}",
        # One pod has nobody to agree with.
        "--cluster.listen-address=",
    ]
    folder = core.v1.EmptyDirVolumeSourceArgs(size_limit=f"{DATA_MEBIBYTES}Mi")
    container = server.container(
        scope,
        args,
        ALERTMANAGER_PORT,
        [inputs.secret_mount(), core.v1.VolumeMountArgs(name=DATA, mount_path=DATA_DIR)],
        scope.settings.monitoring.ALERTMANAGER_RESOURCES,
        DATA_MEBIBYTES,
    )
    volumes = [inputs.secret_volume(secret), core.v1.VolumeArgs(name=DATA, empty_dir=folder)]
    return one_pod.template(scope, container, volumes, server.GRACE, server.contract())
