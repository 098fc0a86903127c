"""Build and push images through the API of a Docker daemon."""

import os
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from docker import APIClient
from docker.errors import DockerException
from docker.utils import parse_repository_tag
from requests import RequestException

from local.plugins.docker.context import write_context
from local.plugins.docker.image import ImageSpec, section
from local.plugins.provider import ProviderError


class Daemon:
    """Builds and pushes images. `report` gets each line of output; `stop` ends the operation at the next line."""

    def __init__(self, host: str | None, report: Callable[[str], None], stop: threading.Event) -> None:
        self._report = report
        self._stop = stop
        host = host or os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
        try:
            # The type stubs of docker are typed in part only.
            self._client: Any = APIClient(base_url=host, version="auto", timeout=10)
        except (DockerException, RequestException) as error:
            raise ProviderError(
                f"the Docker daemon at {host} does not answer ({root_cause(error)}): "
                "start it (systemctl start docker; for the local stack: make up), or set DOCKER_HOST"
            ) from None
        # A step that compiles may print nothing for minutes; the timeout of the resource ends the whole operation.
        self._client.timeout = None

    def build(self, spec: ImageSpec) -> str:
        """Build and tag the image, and return its id. Raise ProviderError with the failed step and its last lines."""
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
                cache_from=list(spec.cache_from) or None,
                rm=True,
                forcerm=True,
                decode=True,
            )
            self._follow_build(answers)
        return str(self._client.inspect_image(spec.name)["Id"])

    def _follow_build(self, answers: Any) -> None:
        step, lines = "the start", deque[str](maxlen=20)
        for answer in self._answers(answers):
            line = str(answer.get("stream") or answer.get("status") or "").rstrip()
            if line.startswith("Step "):
                step = line
                lines.clear()
            elif line:
                lines.append(line)
            if "error" in answer:
                raise ProviderError("\n".join([f"docker build failed at {step}", *lines, answer["error"]]))
            if line:
                self._report(line)

    def push(self, spec: ImageSpec) -> str:
        """Push the image and return repository@digest, with the digest that the registry reported."""
        repository, tag = parse_repository_tag(spec.name)
        digest = ""
        answers = self._client.push(repository, tag=tag or "latest", stream=True, decode=True, auth_config=spec.login)
        for answer in self._answers(answers):
            if "error" in answer:
                raise ProviderError(f"docker push {spec.name} failed: {answer['error']}")
            digest = section(answer, "aux").get("Digest") or digest
            if answer.get("status"):
                self._report(" ".join(str(answer[key]) for key in ("id", "status", "progress") if answer.get(key)))
        if not digest:
            raise ProviderError(
                f"docker push {spec.name}: the daemon reported no digest: upgrade it to Docker 20.10 or newer"
            )
        return f"{repository}@{digest}"

    def _answers(self, answers: Any) -> Iterable[dict[str, Any]]:
        for answer in answers:
            if self._stop.is_set():
                raise ProviderError("cancelled")
            yield answer


def root_cause(error: BaseException) -> str:
    """Return the innermost reason of nested exceptions of requests and urllib3."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__ or error
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
