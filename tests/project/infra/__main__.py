"""Declares one environment of the API, from source to a served request.

settings      stacks/Pulumi.<stack>.yaml, or one message with every error in it
house rules   checked for every object below, before it reaches the cluster
verification  at the end of an update, everything declared is in the cluster and runs
retention     after an update, superseded configuration is deleted
adoption      for `./slipway adopt` only: objects that exist before the stack get a known field manager
image         built from app/, prebuilt, or promoted from another stack; named by its content
environment   the one cluster this stack may touch, and a namespace that enforces `restricted` pods
stores        MySQL and Redis, where the stack runs them itself
canaries      the new version that `./slipway up` tries beside the release in force
services      configuration, pods, address and autoscaling of each service
release       the record to roll back to, made when everything above is complete
outputs       what CI, ops/ and the end-to-end tests read
"""

import pulumi

from slipway import adoption, releases, retention
from slipway.cluster.connection import connect
from slipway.environment import Environment
from slipway.image.app_image import AppImage, version_of
from slipway.rollout import verification
from slipway.rules.enforcement import watch
from slipway.service import canary
from slipway.service.web_service import WebService
from slipway.settings.stack_file import load, load_candidate
from slipway.stores.mysql import MysqlStore
from slipway.stores.redis import RedisStore
from slipway.stores.store import Store

settings, candidate = load(), load_candidate()
# A rollback must not fail because a rule is newer than the release: it gets a warning.
watch(settings.tier, settings.waivers, refuses=settings.release is None)
verification.at_end(settings)
retention.at_end(settings)
adoption.declare()

# `api` is the image that this run builds. With a candidate that is the candidate's, and this one exists already.
image = AppImage("in-force" if candidate else "api", settings.image)

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
    name: WebService(name, settings, image, environment, addresses, canary=canaries.get(name), opts=on_cluster)
    for name in settings.services
}
urls = {name: service.url for name, service in services.items() if service.url}
recorded = releases.declare(settings, image, environment, [*stores.values(), *services.values()])

pulumi.export("url", next(iter(urls.values()), None))
# Known only for a recorded release: an image whose rollout has failed must not be promoted.
pulumi.export("image", recorded)
pulumi.export("version", recorded.apply(version_of))
pulumi.export("namespace", environment.namespace)
pulumi.export("services", urls)
