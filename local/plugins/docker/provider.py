"""Answer the engine's requests: check, diff, create, update and delete of an image."""

import asyncio
import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from docker.errors import APIError
from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.provider.experimental.provider import (
    CheckFailure,
    CheckRequest,
    CheckResponse,
    ConfigureRequest,
    ConfigureResponse,
    CreateRequest,
    CreateResponse,
    DeleteRequest,
    DiffRequest,
    DiffResponse,
    InvokeRequest,
    InvokeResponse,
    PropertyDiff,
    UpdateRequest,
    UpdateResponse,
)
from requests import RequestException

from local.plugins.diff import differences, format_path
from local.plugins.docker.context import context_digest
from local.plugins.docker.daemon import Daemon, root_cause
from local.plugins.docker.image import USE_THE_OFFICIAL_PLUGIN, ImageSpec, check_image, section
from local.plugins.provider import (
    EngineLog,
    Plugin,
    ProviderError,
    has_unknown,
    old_inputs,
    plain,
    resource_type,
    without_nulls,
    wrap,
)
from slipway.objects import UNKNOWN

VERSION = "5.1.0"
IMAGE = "docker:index/image:Image"

# `host` is the address of the daemon; the engine adds the other two.
PROVIDER_OPTIONS = {"host", "version", "pluginDownloadURL"}

Result = TypeVar("Result")


class DockerPlugin(Plugin):
    """One running plugin. Blocking calls run in threads, so that the engine can cancel them."""

    def __init__(self, engine: EngineLog) -> None:
        self._engine = engine
        self._host: str | None = None
        self._stop = threading.Event()
        self._running = set[asyncio.Future[Any]]()

    async def check_config(self, request: CheckRequest) -> CheckResponse:
        unknown = sorted(set(request.new_inputs) - PROVIDER_OPTIONS)
        reason = "is not supported by the offline docker plugin"
        failures = [CheckFailure(key, f"provider option {key} {reason}: {USE_THE_OFFICIAL_PLUGIN}") for key in unknown]
        return CheckResponse(inputs=request.new_inputs, failures=failures)

    async def configure(self, request: ConfigureRequest) -> ConfigureResponse:
        self._host = plain(request.args["host"]) if "host" in request.args else None
        return await super().configure(request)

    async def check(self, request: CheckRequest) -> CheckResponse:
        refuse_other_types(request.urn)
        inputs = without_nulls(plain(request.new_inputs))
        if failures := check_image(inputs):
            return CheckResponse(inputs=request.new_inputs, failures=failures)
        if inputs.get("build") != UNKNOWN:
            inputs["build"] = {**section(inputs, "build"), "contextDigest": await self._context_digest(inputs)}
        checked = {key: wrap(value, request.new_inputs.get(key)) for key, value in inputs.items()}
        if "registry" in checked:
            checked["registry"] = with_secret_password(checked["registry"])
        return CheckResponse(inputs=checked)

    async def _context_digest(self, inputs: Mapping[str, Any]) -> str:
        build = section(inputs, "build")
        if UNKNOWN in (build.get("context"), build.get("dockerfile")):
            return UNKNOWN
        return await asyncio.to_thread(context_digest, ImageSpec.of(inputs))

    async def diff(self, request: DiffRequest) -> DiffResponse:
        refuse_other_types(request.urn)
        before, after = (without_login(plain(inputs)) for inputs in (old_inputs(), request.new_inputs))
        changed = list(differences(before, after))
        return DiffResponse(
            changes=bool(changed),
            detailed_diff={format_path(path): PropertyDiff(kind, input_diff=True) for path, kind in changed},
            diffs=sorted({str(path[0]) for path, _ in changed}),
        )

    async def create(self, request: CreateRequest) -> CreateResponse:
        refuse_other_types(request.urn)
        outputs = await self._outputs(request.urn, request.properties, request.preview, request.timeout)
        return CreateResponse(resource_id=plain(request.properties["imageName"]), properties=outputs)

    async def update(self, request: UpdateRequest) -> UpdateResponse:
        refuse_other_types(request.urn)
        return UpdateResponse(await self._outputs(request.urn, request.news, request.preview, request.timeout))

    async def delete(self, request: DeleteRequest) -> None:
        """Keep the image: pods may still run it, and a rollback needs it."""
        refuse_other_types(request.urn)

    async def invoke(self, request: InvokeRequest) -> InvokeResponse:
        raise ProviderError(f"{request.tok} is not known to the offline docker plugin: {USE_THE_OFFICIAL_PLUGIN}")

    async def cancel(self) -> None:
        self._stop.set()
        for operation in self._running:
            operation.cancel()

    async def _outputs(
        self, urn: str, properties: Mapping[str, PropertyValue], preview: bool, seconds: float
    ) -> dict[str, PropertyValue]:
        inputs = plain(properties)
        spec = ImageSpec.of(inputs)
        repo_digest = UNKNOWN
        if not preview or (spec.build_on_preview and not has_unknown(inputs)):
            repo_digest = await self._in_time(
                lambda: self._build(urn, spec, push=not preview and not spec.skip_push), seconds
            )
        if preview and not spec.skip_push:
            # Only the push will return the digest.
            repo_digest = UNKNOWN
        outputs = {
            "imageName": spec.name,
            "baseImageName": spec.name,
            "registryServer": spec.server,
            "repoDigest": repo_digest,
            "context": spec.context,
            "dockerfile": spec.dockerfile,
        }
        return {key: wrap(value) for key, value in outputs.items()}

    def _build(self, urn: str, spec: ImageSpec, push: bool) -> str:
        """Return repository@digest of the pushed image, or its local id, which other machines cannot pull."""

        def censor(text: str) -> str:
            return text.replace(spec.password, "***") if spec.password else text

        daemon = Daemon(self._host, lambda line: self._engine.status(urn, censor(line)), self._stop)
        try:
            image_id = daemon.build(spec)
            return daemon.push(spec) if push else image_id
        except APIError as error:
            raise ProviderError(censor(f"docker refused {spec.name}: {error.explanation or error}")) from None
        except RequestException as error:
            raise ProviderError(
                censor(f"the connection to the Docker daemon broke ({root_cause(error)}): try again")
            ) from None
        except ProviderError as error:
            raise ProviderError(censor(str(error))) from None

    async def _in_time(self, work: Callable[[], Result], seconds: float) -> Result:
        operation = asyncio.ensure_future(asyncio.to_thread(work))
        self._running.add(operation)
        try:
            return await asyncio.wait_for(operation, seconds or None)
        except TimeoutError:
            self._stop.set()
            raise ProviderError(
                f"the image was not ready after {seconds:.0f} s: raise customTimeouts, or find out which step is slow"
            ) from None
        except asyncio.CancelledError:
            raise ProviderError("cancelled before the image was ready") from None
        finally:
            self._running.discard(operation)


def refuse_other_types(urn: str) -> None:
    kind = resource_type(urn)
    if kind != IMAGE:
        raise ProviderError(
            f"{kind} is not known to the offline docker plugin, which builds {IMAGE}: {USE_THE_OFFICIAL_PLUGIN}"
        )


def with_secret_password(registry: PropertyValue) -> PropertyValue:
    """Mark the password as a secret, even if the program did not."""
    if not isinstance(registry.value, Mapping) or "password" not in registry.value:
        return registry
    fields = {**registry.value, "password": registry.value["password"].with_secret(True)}
    return PropertyValue(fields, is_secret=registry.is_secret)


def without_login(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Drop nulls and the registry login, which changes often and does not affect the image."""
    return without_nulls({**inputs, "registry": {"server": section(inputs, "registry").get("server")}})
