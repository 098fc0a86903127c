"""One environment of the API, from source to a served request.

settings     what stacks/Pulumi.<stack>.yaml says, or every mistake in it at once
house rules  policies.py; they hold for all that follows
at the end   verification.py: what is declared is in the cluster and runs; retention.py: superseded configuration goes
adoption     what was there before the stack, while `./slipway adopt` takes it over
image        built from app/, taken prebuilt, or promoted from another stack; named by its content
environment  the one cluster this stack may touch, and a namespace that enforces `restricted` pods
stores       MySQL and Redis, where the stack runs them itself
canaries     what `./slipway up` tries of another version, beside a release in force that stays as it is
services     for each service its configuration, pods, address and autoscaling
release      the record of all this, once it is there: what one can go back to
outputs      what CI, ops/ and the end-to-end tests read, and nothing else; the image is that of the recorded release
"""

import adoption
import canary
import pulumi
import releases
import retention
import verification
from backing import Store
from connection import connect
from enforcement import watch
from environment import Environment
from image import AppImage, version_of
from mysql import MysqlStore
from redis import RedisStore
from stack_file import load, load_candidate
from web_service import WebService

settings, candidate = load(), load_candidate()
# A recorded release was complete once: who goes back to it is told what has become a rule since, and not refused.
watch(settings.waivers, refuses=settings.release is None)
verification.at_end(settings)
retention.at_end(settings)
adoption.declare()

# What is built keeps its name in the state; beside it the image in force is only a reference.
image = AppImage("in-force" if candidate else "api", settings.image)

on_cluster = pulumi.ResourceOptions(provider=connect(settings.cluster))
environment = Environment(settings, candidate, on_cluster)

stores: dict[str, Store] = {}
if settings.mysql and settings.mysql.source == "cluster":
    stores["mysql"] = MysqlStore(settings, settings.mysql, environment, on_cluster)
if settings.redis and settings.redis.source == "cluster":
    stores["redis"] = RedisStore(settings, settings.redis, environment, on_cluster)

canaries = canary.declare(candidate, settings, environment, stores, on_cluster) if candidate else {}
services = {
    name: WebService(name, settings, image, environment, stores, canary=canaries.get(name), opts=on_cluster)
    for name in settings.services
}
urls = {name: service.url for name, service in services.items() if service.url}
recorded = releases.declare(settings, image, environment, [*stores.values(), *services.values()])

pulumi.export("url", next(iter(urls.values()), None))
# Known only once the release is complete: what a failed update has built is nobody's image.
pulumi.export("image", recorded)
pulumi.export("version", recorded.apply(version_of))
pulumi.export("namespace", environment.namespace)
pulumi.export("services", urls)
