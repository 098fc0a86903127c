"""The program: declares one environment, from source to a served request. infra/__main__.py runs it.

settings      stacks/Pulumi.<stack>.yaml, or one message with every error in it
house rules   checked for every object below, before it reaches the cluster
verification  at the end of an update, everything declared is in the cluster and runs
retention     after an update, superseded configuration is deleted
adoption      for `./slipway adopt` only: objects that exist before the stack get a known field manager
images        built from the sources, prebuilt, or promoted from another stack; named by their content
environment   the one cluster this stack may touch, and a namespace that enforces `restricted` pods
stores        MySQL and Redis, where the stack runs them itself
canaries      the new version that `./slipway up` tries beside the release in force
services      configuration, pods, address and autoscaling of each service
monitoring    Prometheus, Alertmanager and Jaeger of this stack, or objects for the operator of the cluster
release       the record to roll back to, made when everything above is complete
outputs       what CI, ops/ and the end-to-end tests read
"""

from __future__ import annotations

import pulumi

from slipway import releases, retention
from slipway.cluster.connection import connect
from slipway.environment import Environment
from slipway.image.reference import version_of
from slipway.image.stack_images import StackImages
from slipway.monitoring_objects import monitor
from slipway.rollout import adoption, verification
from slipway.rules.enforcement import watch
from slipway.service import canary
from slipway.service.web_service import WebService
from slipway.settings.names import SHORT_FORM
from slipway.settings.stack_file import load, load_candidate
from slipway.stores.mysql import MysqlStore
from slipway.stores.redis import RedisStore
from slipway.stores.store import Store


def run() -> None:
    """Declare everything that the current stack consists of."""
    settings, candidate = load(), load_candidate()
    # A rollback must not fail because a rule is newer than the release: it gets a warning.
    watch(
        settings.tier,
        settings.waivers,
        variables=settings.stated_variables(),
        refuses=settings.release is None,
    )
    verification.at_end(settings)
    retention.at_end(settings)
    adoption.declare()

    images = StackImages(settings, beside_candidate=candidate is not None)

    on_cluster = pulumi.ResourceOptions(provider=connect(settings.cluster))
    environment = Environment(settings, candidate, on_cluster)

    stores: dict[str, Store] = {}
    if settings.mysql and settings.mysql.source == "cluster":
        stores["mysql"] = MysqlStore(settings, settings.mysql, environment, on_cluster)
    if settings.redis and settings.redis.source == "cluster":
        stores["redis"] = RedisStore(settings, settings.redis, environment, on_cluster)
    addresses = {name: store.address for name, store in stores.items()}

    canaries = canary.declare(candidate, settings, environment, addresses, on_cluster) if candidate else {}
    services = {
        name: WebService(
            name, settings, images.of(name), environment, addresses, canary=canaries.get(name), opts=on_cluster
        )
        for name in settings.services
    }
    monitor.declare(settings, environment, on_cluster)

    urls = {name: service.url for name, service in services.items() if service.url}
    recorded = releases.declare(settings, images.references, environment, [*stores.values(), *services.values()])

    pulumi.export("url", next(iter(urls.values()), None))
    # Known only for a recorded release: an image whose rollout has failed must not be promoted.
    pulumi.export("images", recorded)
    if settings.image:
        pulumi.export("image", recorded.apply(lambda images: images[SHORT_FORM]))
        pulumi.export("version", recorded.apply(lambda images: version_of(images[SHORT_FORM])))
    pulumi.export("namespace", environment.namespace)
    pulumi.export("services", urls)
