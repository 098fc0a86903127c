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

from slipway.ops.supply_chain.tools import COSIGN, compiled
from tests.delivery.go_project import IMPORTED, VULNERABLE, GoProject
from tests.delivery.oci_registry import Registry, serve
from tests.delivery.test_vulnerabilities import OFFLINE, PLANTED

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600)]


@pytest.fixture
def registry(tmp_path: Path) -> Generator[Registry]:
    with serve(tmp_path / "blobs") as registry:
        yield registry


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
    made = project.slipway("attest", "--new-key", str(private_key(project).parent), **keys(project))
    assert made.returncode == 0, made.stderr
    assert "canary" not in made.stdout + made.stderr
    project.set(evidence={"publicKey": "stacks/cosign.pub"})
    return project


def private_key(project: GoProject) -> Path:
    return project.folder.parent / "keys" / "cosign.key"


def keys(project: GoProject) -> dict[str, str]:
    return {
        "SLIPWAY_SIGNING_KEY": str(private_key(project)),
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


def predicates(project: GoProject, reference: str, kind: str) -> list[dict[str, Any]]:
    """Return what another user of cosign reads of an image."""
    script = (
        "import json, sys; from pathlib import Path; from slipway.ops.supply_chain.cosign import attested\n"
        "print(json.dumps(attested(sys.argv[1], sys.argv[2], Path('stacks/cosign.pub'))))"
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
    project.set(evidence={"publicKey": "stacks/cosign.pub", "waivers": [waiver]})
    assert problems(project) == [f"{line}; its waiver ended on 2020-01-31" for line in lacking[:2]] + lacking[2:]
    project.set(evidence={"publicKey": "stacks/cosign.pub", "waivers": [{**waiver, "until": "2999-12-31"}]})
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
    project.set(evidence={"publicKey": "stacks/cosign.pub", "keys": {tool: "makers/cosign.pub"}})
    assert problems(project) == []


def test_an_image_for_two_platforms_has_an_sbom_for_each(project: GoProject, registry: Registry):
    repository = f"{registry.host}/slipway/api"
    project.set(image={"builder": "daemonless", "repository": repository, "platforms": ["linux/amd64", "linux/arm64"]})
    reference = project.release()
    attest(project)
    assert problems(project) == []
    entries = json.loads(registry.run("manifest", reference))["manifests"]
    built_for: list[set[str]] = []
    for entry in entries:
        (sbom,) = predicates(project, f"{repository}@{entry['digest']}", "cyclonedx")
        built_for.append({fact["value"] for fact in sbom["metadata"]["properties"] if fact["name"].endswith(":GOARCH")})
    assert built_for == [{"amd64"}, {"arm64"}]
