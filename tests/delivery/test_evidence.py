"""Signature, SBOM, scan result and provenance of an image in a registry: made, verified, and refused when wrong.

With the real cosign, cyclonedx-gomod and govulncheck, which the first run compiles, and nothing but the registry on the
network.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from slipway.ops.supply_chain.tools import COSIGN, GoTool, compiled
from tests.delivery.go_project import IMPORTED, VULNERABLE, GoProject
from tests.delivery.test_vulnerabilities import OFFLINE, PLANTED

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600)]

# Apache-2.0, by Google: a registry that keeps its blobs in files, and a client for it.
CRANE = GoTool("github.com/google/go-containerregistry/cmd/crane", "v0.20.7")


class Registry:
    """A registry on this machine."""

    def __init__(self, folder: Path) -> None:
        self.blobs = folder
        self.crane = compiled(CRANE)
        command = [self.crane, "registry", "serve", "--address", "127.0.0.1:0", "--disk", folder]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr
        port = next(match[1] for line in self.process.stderr if (match := re.search(r"serving on port (\d+)", line)))
        self.host = f"127.0.0.1:{port}"

    def run(self, *arguments: str) -> str:
        """Return what the client prints."""
        return subprocess.run([self.crane, *arguments], capture_output=True, text=True, check=True).stdout

    def attached(self, reference: str, suffix: str) -> str:
        """Return the tag of what cosign keeps of an image: `sig` or `att`."""
        repository, _, digest = reference.partition("@")
        return f"{repository.rpartition(':')[0]}:{digest.replace(':', '-')}.{suffix}"

    def flip(self, reference: str, suffix: str) -> None:
        """Change a byte in the first blob of the attachments of an image."""
        (layer, *_) = json.loads(self.run("manifest", self.attached(reference, suffix)))["layers"]
        (file,) = self.blobs.rglob(layer["digest"].removeprefix("sha256:"))
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)


@pytest.fixture
def registry(tmp_path: Path) -> Generator[Registry]:
    (tmp_path / "blobs").mkdir()
    registry = Registry(tmp_path / "blobs")
    yield registry
    registry.process.terminate()
    registry.process.wait()


def key_pair(folder: Path, name: str) -> dict[str, str]:
    """Make a key pair. Return the variables that sign with it."""
    folder.mkdir(exist_ok=True)
    environment = {**os.environ, "COSIGN_PASSWORD": "canary-of-a-password"}
    command = [compiled(COSIGN), "generate-key-pair", "--output-key-prefix", name]
    subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=True)
    return {"SLIPWAY_SIGNING_KEY": str(folder / f"{name}.key"), "COSIGN_PASSWORD": "canary-of-a-password"}


@pytest.fixture
def project(tmp_path: Path, registry: Registry) -> GoProject:
    """A project with a release, and a stack file that names the public key."""
    project = GoProject(tmp_path / "project", registry.host)
    project.use(IMPORTED)
    key_pair(project.folder, "cosign")
    project.set(evidence={"publicKey": "cosign.pub"})
    return project


def keys(project: GoProject) -> dict[str, str]:
    return {
        "SLIPWAY_SIGNING_KEY": str(project.folder / "cosign.key"),
        "COSIGN_PASSWORD": "canary-of-a-password",
        **OFFLINE,
        "NO_PROXY": "127.0.0.1",
    }


def attest(project: GoProject) -> None:
    done = project.slipway("attest", "-s", "dev", **keys(project))
    assert done.returncode == 0, done.stderr
    assert "canary" not in done.stdout + done.stderr


def problems(project: GoProject) -> list[str]:
    """Return what `./slipway verify` says is wrong. No private key is needed for that."""
    done = project.slipway("verify", "-s", "dev", **{**OFFLINE, "NO_PROXY": "127.0.0.1"})
    assert done.returncode == (1 if done.stdout else 0), done.stderr
    return done.stdout.splitlines()


@pytest.fixture
def attested(project: GoProject) -> str:
    """The reference of the release's image, which has all evidence."""
    reference = project.release()
    attest(project)
    return reference


@pytest.mark.feature("A10")
def test_an_image_without_evidence_lacks_each_piece_and_attest_makes_all_of_them(project: GoProject):
    reference = project.release()
    lacking = [f"lacks {what}" for what in ("a signature", "an SBOM", "a scan result", "a provenance")]
    assert problems(project) == [f"dev: image api ({reference}) {what}" for what in lacking]
    attest(project)
    assert problems(project) == []
    attest(project)  # once more changes nothing
    assert problems(project) == []


@pytest.mark.feature("A10", part="the SBOM is what `go version -m` says of the binary in the image")
def test_the_sbom_lists_the_modules_of_the_binary_and_no_others(
    project: GoProject, registry: Registry, attested: str, tmp_path: Path
):
    registry.run("export", attested, str(tmp_path / "image.tar"))
    subprocess.run(["tar", "-xf", tmp_path / "image.tar", "-C", tmp_path, "api"], check=True)
    lines = subprocess.run(["go", "version", "-m", tmp_path / "api"], capture_output=True, text=True, check=True).stdout
    modules = re.findall(r"^\tdep\t(\S+)\t(\S+)", lines, re.MULTILINE)
    compiler = re.search(r": go(\S+)", lines)
    assert modules == [("golang.org/x/text", "v0.3.5")]
    assert compiler
    (sbom,) = predicates(project, attested, "cyclonedx")
    listed = sorted((component["name"], component["version"]) for component in sbom["components"])
    assert listed == sorted([*modules, ("std", f"go{compiler[1]}")])
    assert sbom["metadata"]["component"]["name"] == "example.com/shop"


def predicates(project: GoProject, reference: str, kind: str) -> list[dict[str, Any]]:
    """Return what another user of cosign reads of an image."""
    script = (
        "import json, sys; from pathlib import Path; from slipway.ops.supply_chain.cosign import attested\n"
        "print(json.dumps(attested(sys.argv[1], sys.argv[2], Path('cosign.pub'))))"
    )
    return json.loads(project.python("-c", script, reference, kind).stdout)


@pytest.mark.feature("A10", part="provenance")
def test_the_provenance_names_the_sources_and_is_refused_for_others(project: GoProject, attested: str):
    (provenance,) = predicates(project, attested, "slsaprovenance1")
    (tag,) = re.findall(r":(src-[0-9a-f]{16})@", attested)
    definition = provenance["buildDefinition"]
    assert definition["externalParameters"]["version"] == tag
    assert definition["externalParameters"]["settings"]["builder"] == "daemonless"
    state = project.folder / "state.json"
    state.write_text(state.read_text().replace(tag, "src-0123456789abcdef"))
    assert [line.partition(") ")[2] for line in problems(project)] == [f"has a provenance of other sources: {tag}"]


@pytest.mark.feature("A10", part="a flipped byte fails")
@pytest.mark.parametrize(
    ("suffix", "failing"), [("sig", ["a signature"]), ("att", ["an SBOM", "a scan result", "a provenance"])]
)
def test_a_flipped_byte_fails(project: GoProject, registry: Registry, attested: str, suffix: str, failing: list[str]):
    registry.flip(attested, suffix)
    found = problems(project)
    assert len(found) >= 1
    assert all(any(what in line for what in failing) for line in found)


@pytest.mark.feature("A10", part="another key fails")
def test_evidence_by_another_key_is_refused(project: GoProject, attested: str):
    key_pair(project.folder / "others", "cosign")
    project.set(evidence={"publicKey": "others/cosign.pub"})
    found = problems(project)
    assert len(found) == 4
    assert all("that key cosign.pub does not verify" in line for line in found)


def test_removed_attestations_are_missed_and_may_be_waived_until_a_day(
    project: GoProject, registry: Registry, attested: str
):
    registry.run("delete", registry.attached(attested, "att"))
    lacking = [f"dev: image api ({attested}) lacks {what}" for what in ("an SBOM", "a scan result", "a provenance")]
    assert problems(project) == lacking
    waiver = {
        "repository": f"{registry.host}/slipway/api",
        "lacks": ["sbom", "scan"],
        "reason": "the registry lost them",
        "until": "2020-01-31",
    }
    project.set(evidence={"publicKey": "cosign.pub", "waivers": [waiver]})
    assert problems(project) == [f"{line}; its waiver ended on 2020-01-31" for line in lacking[:2]] + lacking[2:]
    project.set(evidence={"publicKey": "cosign.pub", "waivers": [{**waiver, "until": "2999-12-31"}]})
    assert problems(project) == lacking[2:]


def test_a_vulnerable_program_is_not_signed_and_a_waiver_goes_with_the_image(project: GoProject):
    project.use(VULNERABLE)
    reference = project.release()
    done = project.slipway("attest", "-s", "dev", **keys(project))
    assert done.returncode == 1
    assert "error: image api reaches known vulnerabilities; nothing was signed" in done.stderr
    assert problems(project)[0] == f"dev: image api ({reference}) lacks a signature"
    waivers = [{"rule": id, "reason": "no client sets it", "until": "2999-12-31"} for id in PLANTED]
    project.set(waivers=waivers)
    attest(project)
    assert problems(project) == []
    project.set(waivers=None)
    (line,) = problems(project)
    assert f"image api ({reference}) reaches known vulnerabilities: {PLANTED[0]} golang.org/x/text" in line


def test_changed_sources_and_a_missing_key_are_refused_before_anything_is_signed(project: GoProject):
    project.release()
    done = project.slipway("attest", "-s", "dev")
    assert (done.returncode, "SLIPWAY_SIGNING_KEY is not set" in done.stderr) == (1, True)
    project.write("app/cmd/api/main.go", IMPORTED + "// changed\n")
    done = project.slipway("attest", "-s", "dev", **keys(project))
    assert (done.returncode, "check out the commit of the release" in done.stderr) == (1, True)
    assert len(problems(project)) == 4


def test_an_image_of_others_needs_a_signature_by_the_key_that_the_stack_file_names(
    project: GoProject, registry: Registry, attested: str
):
    tool = f"{registry.host}/makers/tool"
    registry.run("copy", attested, f"{tool}:1")
    pinned = f"{tool}@{attested.partition('@')[2]}"
    service = {"contract": "none", "ports": {"http": 8000}, "probes": {"ready": {"path": "/"}}}
    project.set(services={"api": service, "tool": {**service, "image": pinned}})
    assert problems(project) == [f"dev: image service tool ({pinned}) lacks a signature"]
    makers = key_pair(project.folder / "makers", "cosign")
    command = [compiled(COSIGN), "sign", "--key", makers["SLIPWAY_SIGNING_KEY"], "--tlog-upload=false", "--yes", pinned]
    subprocess.run(command, env={**os.environ, **makers}, capture_output=True, check=True)
    (line,) = problems(project)
    assert "has a signature that key cosign.pub does not verify" in line
    project.set(evidence={"publicKey": "cosign.pub", "keys": {tool: "makers/cosign.pub"}})
    assert problems(project) == []


def test_an_image_for_two_platforms_has_an_sbom_for_each(project: GoProject, registry: Registry):
    repository = f"{registry.host}/slipway/api"
    project.set(image={"builder": "daemonless", "repository": repository, "platforms": ["linux/amd64", "linux/arm64"]})
    reference = project.release()
    attest(project)
    assert problems(project) == []
    entries = json.loads(registry.run("manifest", reference))["manifests"]
    purls = [
        predicates(project, f"{repository}@{entry['digest']}", "cyclonedx")[0]["metadata"]["component"]["purl"]
        for entry in entries
    ]
    assert ["goarch=amd64" in purls[0], "goarch=arm64" in purls[1]] == [True, True]
