"""One environment of the API, from source to a served request.

settings     what stacks/Pulumi.<stack>.yaml says, or every mistake in it at once
house rules  policies.py; they hold for all that follows
image        built from app/, taken prebuilt, or promoted from another stack; named by its content
environment  the one cluster this stack may touch, and a namespace that enforces `restricted` pods
stores       MySQL and Redis, where the stack runs them itself
services     for each service its configuration, pods, address and autoscaling
release      the record of all this, once it is there: what one can go back to
outputs      what CI, ops/ and the end-to-end tests read, and nothing else
"""

import pulumi
import releases
from backing import Store
from enforcement import watch
from environment import Environment, connect
from image import AppImage
from mysql import MysqlStore
from redis import RedisStore
from stack_file import load
from web_service import WebService

settings = load()
watch(settings.waivers)

image = AppImage("api", settings.image)

on_cluster = pulumi.ResourceOptions(provider=connect(settings.cluster))
environment = Environment(settings, on_cluster)

stores: dict[str, Store] = {}
if settings.mysql and settings.mysql.source == "cluster":
    stores["mysql"] = MysqlStore(settings, settings.mysql, environment, on_cluster)
if settings.redis and settings.redis.source == "cluster":
    stores["redis"] = RedisStore(settings, settings.redis, environment, on_cluster)

services = {name: WebService(name, settings, image, environment, stores, opts=on_cluster) for name in settings.services}
urls = {name: service.url for name, service in services.items() if service.url}
releases.declare(settings, image, environment, [*stores.values(), *services.values()])

pulumi.export("url", next(iter(urls.values()), None))
pulumi.export("image", image.reference)
pulumi.export("version", image.version)
pulumi.export("namespace", environment.namespace)
pulumi.export("services", urls)
