"""Flux reconciles a published stack: it takes nothing unsigned, undoes changes by hand, and goes back."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import urllib3

from slipway.image import registry
from slipway.image.oci import Blob, OciImage
from slipway.image.reference import parts
from slipway.ops.gitops import artifact
from slipway.ops.supply_chain import cosign
from slipway.ops.supply_chain.tools import COSIGN, compiled
from tests.e2e.conftest import ROOT, eventually, ingress_pool, outputs, run, up
from tests.neighbours.controllers import flux_controllers
from tests.neighbours.controllers.flux_controllers import applied_revision, readiness, reconcile

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(7200)]

STACK, NAMESPACE, HOST = "gitops", "slipway-gitops", "gitops.slipway.localhost"
REPOSITORY, TAG = "localhost:5000/slipway/gitops", "live"
TITLE = f"slipway-{STACK}"
PHASES = [f"{TITLE}-{phase}" for phase in ("environment", "stores", "migrations", "services")]
SERVICES = PHASES[-1]
DOCUMENT = ROOT / "docs" / "reference" / "gitops.md"
SECRETS = ROOT / ".slipway" / "secrets"
OK = 200

STACK_FILE = """\
config:
  slipway:tier: local
  slipway:cluster:
    context: slipway-local
    server: https://127\\.0\\.0\\.1:6443
  slipway:image: {{source: build, target: prebuilt, repository: localhost:5000/slipway/api}}
  slipway:namespace: slipway-gitops
  slipway:secretFiles: .slipway/secrets
  slipway:mysql: {{source: cluster, image: "{mysql}", migrationUser: slipway_migrator}}
  slipway:redis: {{source: cluster, image: "{redis}"}}
  slipway:services:
    api:
      autoscaling: {{min: 1, max: 2}}
      resources: {{cpu: 50m, memory: 64Mi}}
      ingress:
        host: gitops.slipway.localhost
        className: traefik
        tls: {{secretFiles: true}}
      needs: [mysql, redis]
      env: {{LOG_LEVEL: {level}, LOG_FORMAT: text}}
    web: null
"""
# The Secrets that `./slipway render --gitops flux` says have to be there, each key with the file of its value.
OF_API = {"mysql-password": "mysql-password", "redis-password": "redis-password", "signing-key": "signing-key"}
NEEDED = {
    "api-secret": OF_API,
    "api-migration-secret": {**OF_API, "mysql-password": "mysql-migration-password"},
    "mysql-secret": {name: name for name in ("mysql-password", "mysql-migration-password")},
    "redis-secret": {"redis-password": "redis-password"},
    "api-tls": {"tls.crt": "tls.crt", "tls.key": "tls.key"},
}
TYPES = {"api-tls": "kubernetes.io/tls"}


def kubectl(*arguments: str, ok: bool = True) -> str:
    """Run kubectl in the namespace of the stack, and return its output."""
    return run("kubectl", "--context", "slipway-local", "-n", NAMESPACE, *arguments, ok=ok).stdout


class Times:
    """How long each step took, for the document."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, float]] = []

    def add(self, what: str, begin: float) -> None:
        self.rows.append((what, time.monotonic() - begin))
        print(f"\n{what}: {self.rows[-1][1]:.0f} s")

    def write(self) -> None:
        rows = "".join(f"| {what} | {seconds:.0f} s |\n" for what, seconds in self.rows)
        DOCUMENT.write_text(
            "<!-- Written by `make e2e-neighbours`. -->\n# Times of a pull by Flux\n\n"
            f"source-controller and kustomize-controller {flux_controllers.VERSION} on the local cluster: a stack with "
            "MySQL, Redis,\na migration and one service. Flux is told to look at once; by itself it looks at the "
            "registry every minute, and\nat the cluster every ten minutes. [How it works](../gitops.md)\n\n"
            f"| from | time |\n|---|---|\n{rows}"
        )


class Pulled:
    """The stack of this test: its file, its image and its key."""

    def __init__(self, keys: Path) -> None:
        self.file = ROOT / "stacks" / f"Pulumi.{STACK}.yaml"
        self.key, self.other_key = (_key_pair(keys / name) for name in ("own", "other"))
        self.image: str = outputs()["image"]
        self.times = Times()

    def write(self, level: str) -> None:
        """Write the stack file, with this level of the log."""
        names = {name: (ROOT / ".slipway" / "images" / name).read_text().strip() for name in ("mysql", "redis")}
        self.file.write_text(STACK_FILE.format(**names, level=level))

    def publish(self, *options: str) -> tuple[str, str]:
        """Publish it; return its digest, and the tag that stays."""
        done = self._slipway("publish", *options)
        tag = done.stderr.rpartition(" and ")[2].strip()
        return done.stdout.strip().partition("@")[2], tag

    def publish_version(self, level: str) -> tuple[str, str]:
        """Publish a version of it, signed."""
        self.write(level)
        return self.publish("--image", self.image, "--key", str(self.key / "cosign.key"))

    def render(self, folder: Path) -> Path:
        """Render it; return the folder with what Flux itself reads."""
        self._slipway("render", "--gitops", "flux", "--image", self.image, "-o", str(folder))
        return folder / "flux"

    def _slipway(self, verb: str, *options: str) -> Any:
        where = ("-s", STACK, "--to", f"oci://{REPOSITORY}:{TAG}")
        return run("./slipway", verb, *where, *options, env={"COSIGN_PASSWORD": ""})


def _key_pair(folder: Path) -> Path:
    folder.mkdir()
    run(str(compiled(COSIGN)), "generate-key-pair", cwd=folder, env={"COSIGN_PASSWORD": ""})
    return folder


def wait_for(digest: str, seconds: float = 600) -> None:
    """Let Flux look at the registry, and wait until every phase has applied this artifact and is healthy."""
    reconcile("ocirepository", TITLE)

    def is_applied() -> bool:
        time.sleep(1)
        return all(
            readiness("kustomization", phase).get("status") == "True" and applied_revision(phase).endswith(digest)
            for phase in PHASES
        )

    eventually(is_applied, seconds, f"all phases have applied {digest}")


def level() -> str:
    """Return the level of the log in pods that start now."""
    deployment = json.loads(kubectl("get", "deployment", "api", "-o", "json"))
    [source] = deployment["spec"]["template"]["spec"]["containers"][0]["envFrom"]
    return json.loads(kubectl("get", "configmap", source["configMapRef"]["name"], "-o", "json"))["data"]["LOG_LEVEL"]


def answers() -> bool:
    """Whether the service answers over HTTPS, from MySQL."""
    with ingress_pool(HOST) as pool:
        return pool.request("GET", "/v1/shops").status == OK


@pytest.fixture(scope="module")
def pulled(tmp_path_factory: pytest.TempPathFactory) -> Generator[Pulled]:
    """The first version, reconciled."""
    up()
    stack = Pulled(tmp_path_factory.mktemp("keys"))
    try:
        with flux_controllers.installed():
            own_key = f"--from-file=cosign.pub={stack.key}/cosign.pub"
            flux_controllers.kubectl("create", "secret", "generic", "cosign-public-key", own_key)
            _create_secrets()
            begin = time.monotonic()
            digest, _ = stack.publish_version("info")
            folder = stack.render(tmp_path_factory.mktemp("rendered"))
            flux_controllers.kubectl("apply", "-f", str(folder))
            wait_for(digest)
            eventually(answers, 60, "the service answers")
            stack.times.add("`publish` of an empty namespace to the first answer", begin)
            yield stack
            stack.times.write()
    finally:
        stack.file.unlink(missing_ok=True)
        run("kubectl", "--context", "slipway-local", "delete", "namespace", NAMESPACE, "--ignore-not-found", ok=False)


def _create_secrets() -> None:
    run("kubectl", "--context", "slipway-local", "create", "namespace", NAMESPACE)
    for name, keys in NEEDED.items():
        values = [f"--from-file={key}={SECRETS / file}" for key, file in keys.items()]
        kubectl("create", "secret", "generic", name, f"--type={TYPES.get(name, 'Opaque')}", *values)


@pytest.mark.feature("P6", part="Flux reconciles a published stack")
def test_a_published_stack_answers_in_a_namespace_of_its_own(pulled: Pulled):
    assert answers()
    with ingress_pool(HOST) as pool:
        assert pool.request("GET", "/version").json()["version"] == parts(pulled.image)[1]
    [job] = json.loads(kubectl("get", "jobs", "-o", "json"))["items"]
    started = json.loads(kubectl("get", "deployment", "api", "-o", "json"))["metadata"]["creationTimestamp"]
    assert job["status"]["completionTime"] <= started, "the pods were created before the migration was over"


@pytest.mark.feature("P6", part="a change by hand is undone")
def test_what_somebody_changes_by_hand_is_undone(pulled: Pulled):
    begin = time.monotonic()
    kubectl("delete", "service", "api")
    kubectl(
        "patch",
        "deployment",
        "api",
        "--type=json",
        "-p",
        '[{"op": "replace", "path": "/spec/minReadySeconds", "value": 77}]',
    )
    reconcile("kustomization", SERVICES)
    eventually(answers, 120, "the service answers again")
    assert json.loads(kubectl("get", "deployment", "api", "-o", "json"))["spec"].get("minReadySeconds", 0) != 77
    pulled.times.add("a deleted Service to the next answer", begin)


@pytest.mark.feature("P6", part="rollback is the former artifact")
def test_a_new_version_rolls_the_pods_and_the_former_artifact_brings_the_former_one_back(pulled: Pulled):
    former, former_tag = pulled.publish_version("info")
    begin = time.monotonic()
    digest, _ = pulled.publish_version("debug")
    assert digest != former
    wait_for(digest)
    assert level() == "debug"
    pulled.times.add("`publish` of a new version to all its pods ready", begin)
    begin = time.monotonic()
    assert pulled.publish("--former", former_tag)[0] == former
    wait_for(former)
    assert level() == "info"
    assert answers()
    pulled.times.add("`publish --former` to all former pods ready", begin)


def tampered() -> OciImage:
    """Return the artifact that the tag names with one byte of an object changed, as a registry could serve it."""
    manifest = registry.tagged_manifest(REPOSITORY, TAG)
    assert manifest is not None
    content = json.loads(manifest.content)
    [layer] = content["layers"]
    tar = gzip.decompress(_blob(layer["digest"]))
    forged = Blob(layer["mediaType"], artifact.gzip(tar.replace(b"minReplicas: 1", b"minReplicas: 2")))
    assert forged.digest != layer["digest"]
    content["layers"] = [forged.descriptor()]
    config = Blob(content["config"]["mediaType"], _blob(content["config"]["digest"]))
    return OciImage(Blob(manifest.media_type, json.dumps(content).encode()), (forged, config))


def _blob(digest: str) -> bytes:
    host, _, name = REPOSITORY.partition("/")
    return urllib3.request("GET", f"http://{host}/v2/{name}/blobs/{digest}").data


@pytest.mark.feature("P6", part="a tampered artifact is refused")
@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed by another key"])
def test_a_tampered_artifact_is_refused_and_the_pods_stay(pulled: Pulled, signed: bool):
    good, good_tag = pulled.publish_version("info")
    wait_for(good)
    forged = tampered()
    registry.push(forged, REPOSITORY, TAG)
    if signed:
        cosign.sign(f"{REPOSITORY}@{forged.digest}", str(pulled.other_key / "cosign.key"))
    begin = time.monotonic()
    reconcile("ocirepository", TITLE)
    eventually(lambda: readiness("ocirepository", TITLE).get("status") == "False", 120, "Flux refuses it")
    assert readiness("ocirepository", TITLE)["reason"] == "VerificationError"
    pulled.times.add(f"a tampered artifact, {'signed by another key' if signed else 'unsigned'}, to its refusal", begin)
    reconcile("kustomization", SERVICES)
    assert applied_revision(SERVICES).endswith(good)
    assert json.loads(kubectl("get", "hpa", "api", "-o", "json"))["spec"]["minReplicas"] == 1
    assert answers()
    pulled.publish("--former", good_tag)
    wait_for(good)
