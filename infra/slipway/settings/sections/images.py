"""Sections of images: where each one comes from, how it is built, what proves it, and the logins of registries."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field

from slipway.settings.sections.section import Section, section_rule
from slipway.settings.types.image_fields import (
    BuildArgument,
    Folder,
    GoPackage,
    ImageFile,
    ImageLoad,
    PathInFolder,
    StageName,
)
from slipway.settings.types.scalars import Day, Digest, ProjectFile, Repository, StackName, Tag

Platform = Literal["linux/amd64", "linux/arm64"]
Proof = Literal["signature", "sbom", "scan", "provenance"]


class Image(Section):
    """Where the image comes from, and its name in the registry."""

    source: Literal["build", "prebuilt", "promote"] = "build"
    """build: from a folder of this project · prebuilt: an image that exists (`digest`) · promote: the image of this
    name that another stack runs (`from`)."""
    repository: Repository = Field(examples=["registry.example.com/slipway/api"])
    """Registry and name, without a tag."""
    context: Folder = Field(default="app", examples=["services/shop"])
    """Folder that is built, seen from the project's root (source: build). Its files decide the image's tag; those that
    its .dockerignore excludes are no part of it."""
    dockerfile: PathInFolder = Field(default="Dockerfile", examples=["deploy/Dockerfile"])
    """Dockerfile, seen from `context` (builder: docker)."""
    builder: Literal["docker", "daemonless"] = "docker"
    """docker: the Docker daemon builds the Dockerfile · daemonless: Go and this program, on this machine."""
    target: StageName | None = Field(default=None, examples=["release"])
    """Stage of the Dockerfile (builder: docker). With the stage `prebuilt`, Go compiles on this machine before, and the
    stage needs no base image. Default: the last one."""
    platform: Platform = "linux/amd64"
    """What the cluster's nodes run (source: build)."""
    platforms: list[Platform] = Field(default=[], examples=[["linux/amd64", "linux/arm64"]])
    """Several platforms in one image (builder: daemonless). Default: `platform` alone."""
    args: dict[BuildArgument, str] = Field(default={}, examples=[{"NODE_ENV": "production"}])
    """Build arguments of the Dockerfile (builder: docker). They are stored in the image: no place for a secret."""
    package: GoPackage | None = Field(default=None, examples=["./cmd/shop"])
    """Go main package of the context, or of a module that its go.mod requires. This machine compiles it to `dist/<last
    part of the package>` in the context, before the image is built from there. Default: none; with `target: prebuilt`
    or `builder: daemonless` the only folder below `cmd/`, else the context itself."""
    files: dict[ImageFile, PathInFolder] = Field(default={}, examples=[{"etc/motd": "motd.txt"}])
    """Files and folders of the context that the image holds beside the binary, by their path in the image (builder:
    daemonless)."""
    cache: Repository | None = Field(default=None, examples=["registry.example.com/slipway/api-cache"])
    """Repository where builds on other machines find the layers of the last build, under the tag `cache` (builder:
    docker). Default: each machine has its own."""
    load: ImageLoad | None = Field(default=None, examples=["/run/slipway/containerd.sock"])
    """How the image reaches the nodes of a cluster on this machine without a registry, of which `repository` is then
    only a name (builder: daemonless; tier local): kind or k3d, which load it into the cluster of the context, or the
    socket of the node's containerd. Default: it is pushed, and the nodes pull it."""
    digest: Digest | None = Field(default=None, examples=["sha256:" + "0" * 64])
    """The image to run (source: prebuilt)."""
    tag: Tag | None = Field(default=None, examples=["src-" + "0" * 16])
    """Tag of the digest, which pods have in their image and in a label (source: prebuilt). Default: none."""
    from_: StackName | None = Field(default=None, alias="from", examples=["dev"])
    """Name of the stack whose image is used (source: promote)."""

    @section_rule
    def _source_has_what_it_needs(self) -> Self:
        if (self.source == "prebuilt") != (self.digest is not None):
            raise ValueError("digest goes with source: prebuilt, and only with it")
        if self.tag and self.source != "prebuilt":
            raise ValueError("tag goes with source: prebuilt, and only with it")
        if self.load and self.source != "build":
            raise ValueError("load goes with source: build, and only with it")
        if (self.source == "promote") != (self.from_ is not None):
            raise ValueError("from goes with source: promote, and only with it")
        return self

    @section_rule
    def _keys_fit_the_builder(self) -> Self:
        if self.builder == "daemonless":
            if self.target not in (None, "prebuilt"):
                raise ValueError(f"target: {self.target} needs builder: docker; leave target out")
            other, given = "docker", {"args": self.args, "cache": self.cache}
        else:
            other = "daemonless"
            given = {"files": self.files, "platforms": self.platforms, "load": self.load}
        if wrong := [key for key, value in given.items() if value]:
            raise ValueError(f"{', '.join(wrong)} needs builder: {other}; this is builder: {self.builder}")
        if self.platforms and "platform" in self.model_fields_set:
            raise ValueError("platform and platforms exclude each other; take one out")
        return self

    @property
    def is_compiled_here(self) -> bool:
        """Return whether Go on this machine compiles the app, and not a step of the Dockerfile."""
        return self.builder == "daemonless" or self.target == "prebuilt" or self.package is not None

    @property
    def host(self) -> str:
        """Return the registry of the image."""
        return self.repository.partition("/")[0]


class Registry(Section):
    """The account that pulls the image. Its password is the secret `registry-password`."""

    username: str = Field(min_length=1, examples=["robot$puller"])
    """User of the image's registry; the right to pull is enough."""


class RegistryLogin(Section):
    """The account of one registry. Its password is the secret `registry-password-` and the host, with `-` for each
    other character."""

    username: str = Field(min_length=1, examples=["robot$puller"])
    """User of the registry; the right to pull is enough, unless `push` is set."""
    push: bool = False
    """Whether the Docker daemon also pushes with this account. Default: with the login of `docker login` on the machine
    that builds."""


class EvidenceWaiver(Section):
    """Evidence that images of a repository may lack until a day."""

    repository: Repository = Field(examples=["docker.io/library/redis"])
    """Registry and name, without a tag."""
    lacks: list[Proof] = Field(min_length=1, examples=[["signature"]])
    """What the images lack."""
    reason: str = Field(min_length=10, examples=["its makers sign with no key; the digest was compared by two people"])
    """Why they run all the same."""
    until: Day = Field(examples=["2027-01-31"])
    """Last day of the waiver, `YYYY-MM-DD`."""


class Evidence(Section):
    """What proves the images that the stack runs (docs/supply-chain.md)."""

    public_key: ProjectFile | None = Field(default=None, examples=["stacks/cosign.pub"])
    """File with the public key that verifies the images of this project: signature, SBOM, scan result and provenance.
    Default: none, and `./slipway verify` fails."""
    keys: dict[Repository, ProjectFile] = Field(
        default={}, examples=[{"docker.io/library/mysql": "stacks/mysql-makers.pub"}]
    )
    """Files with the public keys of the makers of other images, by repository. Of these images the signature alone is
    verified. Default: `publicKey`."""
    waivers: list[EvidenceWaiver] = Field(default=[])
    """Images that run without some evidence for a while."""
