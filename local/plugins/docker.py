"""The offline docker provider: builds and pushes `docker:index/image:Image` through the Docker API, and nothing else.

It stands in for pulumi-docker 5.1.0 on machines that cannot fetch that plugin, and keeps its meaning: the build context
is hashed when inputs are checked, so a changed source file shows in a preview without a build; a new name or tag is an
update; deleting and refreshing do nothing; a changed registry login alone is no change.

It builds with the daemon's classic builder whatever `builderVersion` says: BuildKit needs a gRPC session that the
Docker client for Python cannot open. A Dockerfile must therefore do without `RUN --mount` and the like, and all stages
above `target` are built, needed or not.
"""

import asyncio
import os
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, cast

from docker import APIClient
from docker.errors import APIError, DockerException
from docker.utils import parse_repository_tag
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
    PropertyDiffKind,
    UpdateRequest,
    UpdateResponse,
)
from requests import RequestException

from local.plugins.docker_image import (
    USE_THE_OFFICIAL_PLUGIN,
    ImageSpec,
    context_digest,
    mistakes,
    section,
    write_context,
)
from local.plugins.provider import (
    UNKNOWN,
    Engine,
    Plugin,
    Refused,
    has_unknown,
    old_inputs,
    plain,
    resource_type,
    serve,
    wrap,
)

VERSION = "5.1.0"
IMAGE = "docker:index/image:Image"

# `host` is where the daemon is; the other two are the engine's.
PROVIDER_OPTIONS = {"host", "version", "pluginDownloadURL"}

Result = TypeVar("Result")


# --- the daemon -----------------------------------------------------------------------------------------------------


class Daemon:
    """Builds and pushes. `tell` gets each line the daemon answers; `stop` ends the operation at the next line."""

    def __init__(self, host: str | None, tell: Callable[[str], None], stop: threading.Event) -> None:
        self._tell = tell
        self._stop = stop
        host = host or os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
        try:
            # The type stubs of docker are typed in part only.
            self._client: Any = APIClient(base_url=host, version="auto", timeout=10)
        except (DockerException, RequestException) as error:
            raise Refused(
                f"the Docker daemon at {host} does not answer ({root_cause(error)}): "
                "start it (systemctl start docker; for the local stack: make up), or set DOCKER_HOST"
            ) from None
        # A step that compiles may be silent for minutes; the operation as a whole has a timeout of its own.
        self._client.timeout = None

    def build(self, spec: ImageSpec) -> str:
        """Builds and tags the image, and returns its id. Refused with the failed step and its last lines."""
        with tempfile.TemporaryFile() as context:
            dockerfile = write_context(spec, context)
            context.seek(0)
            answers = self._client.build(
                fileobj=context,
                custom_context=True,
                dockerfile=dockerfile,
                tag=spec.name,
                buildargs=dict(spec.args),
                target=spec.target or None,
                platform=spec.platform or None,
                rm=True,
                forcerm=True,
                decode=True,
            )
            step, lines = "", deque[str](maxlen=20)
            for answer in self._answers(answers):
                line = str(answer.get("stream") or answer.get("status") or "").rstrip()
                if line.startswith("Step "):
                    step = line
                    lines.clear()
                elif line:
                    lines.append(line)
                if "error" in answer:
                    raise Refused("\n".join([f"docker build failed at {step or 'the start'}", *lines, answer["error"]]))
                if line:
                    self._tell(line)
        return str(self._client.inspect_image(spec.name)["Id"])

    def push(self, spec: ImageSpec) -> str:
        """Pushes the image and returns repository@digest, as the registry answered it."""
        repository, tag = parse_repository_tag(spec.name)
        digest = ""
        answers = self._client.push(repository, tag=tag or "latest", stream=True, decode=True, auth_config=spec.login)
        for answer in self._answers(answers):
            if "error" in answer:
                raise Refused(f"docker push {spec.name} failed: {answer['error']}")
            digest = section(answer, "aux").get("Digest") or digest
            if answer.get("status"):
                self._tell(" ".join(str(answer[key]) for key in ("id", "status", "progress") if answer.get(key)))
        if not digest:
            raise Refused(
                f"docker push {spec.name}: the daemon reported no digest: upgrade it to Docker 20.10 or newer"
            )
        return f"{repository}@{digest}"

    def _answers(self, answers: Any) -> Iterable[dict[str, Any]]:
        for answer in answers:
            if self._stop.is_set():
                raise Refused("cancelled")
            yield answer


def root_cause(error: BaseException) -> str:
    """The plain reason at the bottom of requests' and urllib3's nested exceptions."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__ or error
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


# --- the provider ---------------------------------------------------------------------------------------------------


class DockerPlugin(Plugin):
    """Answers the engine. Blocking work is done in threads, so that a cancellation is heard."""

    def __init__(self, engine: Engine) -> None:
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
        inputs = {key: value for key, value in plain(request.new_inputs).items() if value is not None}
        failures = mistakes(inputs)
        if failures:
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
        before, after = without_login(plain(old_inputs())), without_login(plain(request.new_inputs))
        changed = {path: PropertyDiff(kind, input_diff=True) for path, kind in differences(before, after)}
        return DiffResponse(
            changes=bool(changed), detailed_diff=changed, diffs=sorted({p.split(".")[0] for p in changed})
        )

    async def create(self, request: CreateRequest) -> CreateResponse:
        refuse_other_types(request.urn)
        outputs = await self._outputs(request.urn, request.properties, request.preview, request.timeout)
        return CreateResponse(resource_id=plain(request.properties["imageName"]), properties=outputs)

    async def update(self, request: UpdateRequest) -> UpdateResponse:
        refuse_other_types(request.urn)
        return UpdateResponse(await self._outputs(request.urn, request.news, request.preview, request.timeout))

    async def delete(self, request: DeleteRequest) -> None:
        """Leaves the image where it is: pods may still run it, and a rollback needs it."""
        refuse_other_types(request.urn)

    async def invoke(self, request: InvokeRequest) -> InvokeResponse:
        raise Refused(f"{request.tok} is not known to the offline docker plugin: {USE_THE_OFFICIAL_PLUGIN}")

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
            # Only the registry knows the digest.
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
        """The pushed image's repository@digest, or else its local id, which other machines cannot pull."""

        def censor(text: str) -> str:
            return text.replace(spec.password, "***") if spec.password else text

        daemon = Daemon(self._host, lambda line: self._engine.status(urn, censor(line)), self._stop)
        try:
            image_id = daemon.build(spec)
            return daemon.push(spec) if push else image_id
        except APIError as error:
            raise Refused(censor(f"docker refused {spec.name}: {error.explanation or error}")) from None
        except RequestException as error:
            raise Refused(
                censor(f"the connection to the Docker daemon broke ({root_cause(error)}): try again")
            ) from None
        except Refused as error:
            raise Refused(censor(str(error))) from None

    async def _in_time(self, work: Callable[[], Result], seconds: float) -> Result:
        operation = asyncio.ensure_future(asyncio.to_thread(work))
        self._running.add(operation)
        try:
            return await asyncio.wait_for(operation, seconds or None)
        except TimeoutError:
            self._stop.set()
            raise Refused(
                f"the image was not ready after {seconds:.0f} s: raise customTimeouts, or see what is slow"
            ) from None
        except asyncio.CancelledError:
            raise Refused("cancelled before the image was ready") from None
        finally:
            self._running.discard(operation)


def refuse_other_types(urn: str) -> None:
    kind = resource_type(urn)
    if kind != IMAGE:
        raise Refused(
            f"{kind} is not known to the offline docker plugin, which builds {IMAGE}: {USE_THE_OFFICIAL_PLUGIN}"
        )


def with_secret_password(registry: PropertyValue) -> PropertyValue:
    """A password is a secret also when the program did not say so."""
    if not isinstance(registry.value, Mapping) or "password" not in registry.value:
        return registry
    fields = {**registry.value, "password": registry.value["password"].with_secret(True)}
    return PropertyValue(fields, is_secret=registry.is_secret)


def without_login(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Registry logins change often and change nothing about the image."""
    server = section(inputs, "registry").get("server")
    return {**{key: value for key, value in inputs.items() if key != "registry"}, "registry": {"server": server}}


def differences(before: Any, after: Any, path: str = "") -> Iterable[tuple[str, PropertyDiffKind]]:
    """Paths at which two plain values differ, with how."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        old, new = cast("Mapping[str, Any]", before), cast("Mapping[str, Any]", after)
        for key in sorted(old.keys() | new.keys()):
            yield from differences(old.get(key), new.get(key), f"{path}.{key}" if path else key)
    elif before != after:
        kind = PropertyDiffKind.ADD if before is None else PropertyDiffKind.UPDATE
        yield path, PropertyDiffKind.DELETE if after is None else kind


def main() -> None:
    serve(DockerPlugin, VERSION)


if __name__ == "__main__":
    main()
