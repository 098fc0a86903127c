"""Check the inputs of a `docker:index/image:Image`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from pulumi.provider.experimental.provider import CheckFailure

from slipway.objects import UNKNOWN
from slipway.settings.types.image_names import is_registry

USE_THE_OFFICIAL_PLUGIN = "leave it out, or use the official docker plugin (make up PLUGINS=DIR)"

# The supported fields. Any other is refused, because silently ignoring an input would be worse.
IMAGE_INPUTS = {"imageName", "build", "registry", "skipPush", "buildOnPreview"}
BUILD_INPUTS = {"context", "dockerfile", "args", "target", "platform", "builderVersion", "cacheFrom", "contextDigest"}
REGISTRY_INPUTS = {"server", "username", "password"}
BUILDER_VERSIONS = {"BuilderV1", "BuilderBuildKit"}


@dataclass(frozen=True)
class ImageSpec:
    """The inputs of an Image, with defaults."""

    name: str
    context: str = "."
    dockerfile: str = "Dockerfile"
    args: Mapping[str, str] = field(default_factory=dict[str, str])
    target: str = ""
    platform: str = ""
    cache_from: tuple[str, ...] = ()
    server: str = ""
    username: str = ""
    password: str = field(default="", repr=False)
    skip_push: bool = False
    build_on_preview: bool = False

    @classmethod
    def of(cls, inputs: Mapping[str, Any]) -> "ImageSpec":
        """Read the spec from `plain` inputs."""
        build, registry = section(inputs, "build"), section(inputs, "registry")
        context = build.get("context") or "."
        return cls(
            name=inputs.get("imageName") or "",
            context=context,
            dockerfile=build.get("dockerfile") or str(Path(context, "Dockerfile")),
            args=build.get("args") or {},
            target=build.get("target") or "",
            platform=build.get("platform") or "",
            cache_from=tuple(section(build, "cacheFrom").get("images") or ()),
            server=registry.get("server") or "",
            username=registry.get("username") or "",
            password=registry.get("password") or "",
            skip_push=bool(inputs.get("skipPush")),
            build_on_preview=bool(inputs.get("buildOnPreview")),
        )

    @property
    def login(self) -> dict[str, str] | None:
        """The registry login; None means the one that `docker login` stored, if any."""
        if self.username and self.password:
            return {"username": self.username, "password": self.password}
        return None


def section(inputs: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return an object of the inputs; empty when it is missing or unknown."""
    value = inputs.get(name)
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def check_image(inputs: Mapping[str, Any]) -> list[CheckFailure]:
    """Return all errors in the `plain` inputs of an Image that can be found without reading files."""
    failures = [
        *_unsupported("", inputs, IMAGE_INPUTS),
        *_unsupported("build.", section(inputs, "build"), BUILD_INPUTS),
        *_unsupported("registry.", section(inputs, "registry"), REGISTRY_INPUTS),
    ]
    name = inputs.get("imageName")
    if not name:
        failures.append(
            CheckFailure("imageName", "imageName is missing: name the image, e.g. localhost:5000/api:1.2.0")
        )
    elif name != UNKNOWN and inputs.get("skipPush") in (None, False, UNKNOWN) and not names_a_registry(name):
        reason = f"imageName {name!r} names no registry to push to: write e.g. docker.io/library/{name}"
        failures.append(CheckFailure("imageName", reason))
    builder = section(inputs, "build").get("builderVersion") or UNKNOWN
    if builder not in BUILDER_VERSIONS | {UNKNOWN}:
        reason = f"build.builderVersion is {builder!r}, but must be one of {', '.join(sorted(BUILDER_VERSIONS))}"
        failures.append(CheckFailure("build.builderVersion", reason))
    return failures


def _unsupported(prefix: str, fields: Mapping[str, Any], supported: set[str]) -> list[CheckFailure]:
    reason = f"is not supported by the offline docker plugin: {USE_THE_OFFICIAL_PLUGIN}"
    return [CheckFailure(f"{prefix}{key}", f"{prefix}{key} {reason}") for key in sorted(set(fields) - supported)]


def names_a_registry(image_name: str) -> bool:
    """Return whether Docker takes the part before the first slash for a registry host."""
    host, slash, _ = image_name.partition("/")
    return bool(slash) and is_registry(host)
