"""`make scan`: run well-known scanners over all files and rendered objects of the project (needs Go).

Manifests are those of every stack and variant. A scanner has to find the fault that is planted for it, or its result is
not trusted. EXEMPT is the only place for exempted findings.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from rich.console import Console
from rich.table import Table

from local.bootstrap.downloads import cached_folder
from local.paths import clone_paths
from slipway import schemas
from slipway.ops.program import render
from slipway.schemas import NEWEST, OLDEST
from tests.paths import REPOSITORY
from tests.variants import NAMES, VARIANTS, model

# Name -> argument of `go install`. Tools are built once and cached with those of `make up`.
GO_TOOLS = {
    "kube-score": "github.com/zegl/kube-score/cmd/kube-score@v1.20.0",
    "kubeconform": "github.com/yannh/kubeconform/cmd/kubeconform@v0.8.0",
    "actionlint": "github.com/rhysd/actionlint/cmd/actionlint@v1.7.12",
    "gitleaks": "github.com/zricethezav/gitleaks/v8@v8.30.1",
}


class Finding(NamedTuple):
    """A problem that a scanner reports at one place."""

    rule: str
    place: str
    message: str


class Exemption(NamedTuple):
    """Rules of a scanner that the project does not follow, and the reason."""

    rules: frozenset[str]
    reason: str
    stack: str | None = None
    """The only stack that is exempted, with its variants; None for all."""
    place: str = ""
    """A regular expression for the only places that are exempted; empty for all."""

    def covers(self, finding: Finding) -> bool:
        """Return whether the finding is exempted."""
        name = finding.place.partition(":")[0]
        is_there = self.stack in (None, VARIANTS.get(name, (name,))[0]) and re.search(self.place, finding.place)
        return finding.rule in self.rules and bool(is_there)


EXEMPT = [
    Exemption(
        frozenset({"container-image-pull-policy"}),
        "Images are named by digest, so pulling again could only fail: with Always, a container could not restart "
        "while the registry is down.",
    ),
    Exemption(
        frozenset({"container-cpu-requests-equal-limits", "container-resource-requests-equal-limits"}),
        "Memory request and limit are equal; CPU limits are higher, since a pod that starts or collects garbage would "
        "be throttled at its request, which costs latency without a benefit.",
    ),
    Exemption(
        frozenset({"horizontalpodautoscaler-replicas"}),
        "dev runs one pod while it is idle: it is the cheapest environment, and lost requests do not matter there.",
        stack="dev",
    ),
    Exemption(
        frozenset({"statefulset-has-servicename"}),
        "Stores and servers have one pod each, behind a Service with an address of its own: clients of a headless one "
        "would keep using the address of a pod that is gone.",
    ),
    Exemption(
        frozenset({"networkpolicy-targets-pod"}),
        "cert-manager makes the pods that answer its challenges, when it needs them.",
        place="acme-solvers",
    ),
    Exemption(
        frozenset({"deployment-has-host-podantiaffinity"}),
        "This variant removes the affinity by a patch, to show that a patch removes fields.",
        place="^customized-pods",
    ),
    Exemption(
        frozenset({"line-length"}),
        "Alerts, Alertmanager's templates and Grafana's dashboard are texts within YAML that cannot be wrapped.",
        place=r"/(operator|prometheus)\.yaml",
    ),
    Exemption(
        frozenset({"generic-api-key", "aws-access-token"}),
        "Tests of masking, secrets and idempotency need texts that look like keys; these open nothing.",
        place=r"^tests/|_test\.go",
    ),
]


@dataclass(frozen=True)
class Subject:
    """The files to scan: all of this project, or the planted faults."""

    manifests: list[Path]
    dockerfile: Path
    workflows: list[Path]
    yaml: list[Path]
    tree: Path
    repository: Path


class BrokenScannerError(Exception):
    """A scanner failed; the message says why."""


# --- the scanners -----------------------------------------------------------------------------------------------------


def kube_score(subject: Subject, folder: Path) -> Iterator[Finding]:
    """Run all checks of kube-score, including the optional ones."""
    listed = run(tool("kube-score"), "list").splitlines()
    optional = [line.split(",")[0] for line in listed if line.endswith(",optional")]
    flags = [f"--enable-optional-test={check}" for check in optional]
    for file in subject.manifests:
        options = ["--kubernetes-version", f"v{OLDEST}", "--output-format", "json", *flags]
        scored = json.loads(run(tool("kube-score"), "score", *options, file, codes=(0, 1)))
        for scored_object in scored:
            for check in scored_object["checks"]:
                if not check["skipped"] and check["grade"] < 10:
                    place = f"{file.stem}: {scored_object['object_name']}"
                    yield Finding(check["check"]["id"], place, check["comments"][0]["summary"])


def kubeconform(version: str) -> Callable[[Subject, Path], Iterator[Finding]]:
    """Return a scanner that validates each object strictly; an object without a schema is a finding."""

    def scan(subject: Subject, folder: Path) -> Iterator[Finding]:
        own = write_schemas(version, subject.manifests, folder / version)
        custom = f"{schemas.CUSTOM}/{{{{ .ResourceKind }}}}-{{{{ .Group }}}}-{{{{ .ResourceAPIVersion }}}}.json"
        locations = ["-schema-location", f"{own}/{{{{ .ResourceKind }}}}{{{{ .KindSuffix }}}}.json"]
        options = ["-strict", "-output", "json", "-verbose", *locations, "-schema-location", custom]
        results = json.loads(run(tool("kubeconform"), *options, *subject.manifests, codes=(0, 1)))["resources"]
        checked = [result for result in results if result["status"]]  # empty for a document of comments only
        expected = sum(len(objects(file)) for file in subject.manifests)
        if len(checked) != expected:
            raise BrokenScannerError(f"checked {len(checked)} of {expected} objects")
        for result in checked:
            if result["status"] != "statusValid":
                yield Finding(result["status"], f"{Path(result['filename']).stem}: {result['name']}", result["msg"])

    return scan


def hadolint(subject: Subject, folder: Path) -> Iterator[Finding]:
    """Check the Dockerfile, including its shell commands."""
    for result in json.loads(run(venv("hadolint"), "--format", "json", subject.dockerfile, codes=(0, 1))):
        yield Finding(result["code"], f"{subject.dockerfile.name}:{result['line']}", result["message"])


def actionlint(subject: Subject, folder: Path) -> Iterator[Finding]:
    """Check the workflows, including their shell scripts."""
    command = [tool("actionlint"), "-shellcheck", venv("shellcheck"), "-format", "{{json .}}"]
    for result in json.loads(run(*command, *subject.workflows, codes=(0, 1))):
        yield Finding(result["kind"], f"{Path(result['filepath']).name}:{result['line']}", result["message"])


def yamllint(subject: Subject, folder: Path) -> Iterator[Finding]:
    """Check stack files, workflows and rendered objects."""
    for line in run(
        venv("yamllint"), "-f", "parsable", "-c", REPOSITORY / ".yamllint", *subject.yaml, codes=(0, 1)
    ).splitlines():
        place, _, message = line.partition(": ")
        yield Finding(message.rpartition("(")[2].rstrip(")"), place, message)


def gitleaks(mode: str) -> Callable[[Subject, Path], Iterator[Finding]]:
    """Return a scanner for secrets in every commit (git) or in the current files (dir)."""

    def scan(subject: Subject, folder: Path) -> Iterator[Finding]:
        where = subject.repository if mode == "git" else subject.tree
        options = ["--no-banner", "--log-level", "error", "--redact", "-i", where, "-f", "json", "-r", "-"]
        for leak in json.loads(run(tool("gitleaks"), mode, *options, where, codes=(0, 1))):
            place = leak["File"].removeprefix(f"{where}/")
            yield Finding(leak["RuleID"], f"{place}:{leak['StartLine']} {leak['Commit'][:8]}", leak["Description"])

    return scan


SCANNERS: dict[str, Callable[[Subject, Path], Iterator[Finding]]] = {
    "kube-score, all checks": kube_score,
    f"kubeconform -strict {OLDEST}": kubeconform(OLDEST),
    f"kubeconform -strict {NEWEST}": kubeconform(NEWEST),
    "hadolint": hadolint,
    "actionlint, shellcheck": actionlint,
    "yamllint": yamllint,
    "gitleaks, all commits": gitleaks("git"),
    "gitleaks, all files": gitleaks("dir"),
}


# --- what they scan --------------------------------------------------------------------------------------------------


def project(folder: Path) -> Subject:
    """Return all files to scan: rendered objects of each stack and variant, and what git tracks or would add."""
    manifests = [folder / f"{name}.yaml" for name in NAMES]
    for name, file in zip(NAMES, manifests, strict=True):
        file.write_text(render.one_stream(render.documents(model(name))))
    tree = folder / "tree"
    for name in run("git", "-C", REPOSITORY, "ls-files", "--cached", "--others", "--exclude-standard").splitlines():
        if (REPOSITORY / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(REPOSITORY / name, tree / name)
    workflows = sorted((REPOSITORY / ".github" / "workflows").glob("*.yml"))
    texts = [*manifests, *workflows, *sorted((REPOSITORY / "stacks").glob("*.yaml")), REPOSITORY / "Pulumi.yaml"]
    return Subject(manifests, REPOSITORY / "app" / "Dockerfile", workflows, texts, tree, REPOSITORY)


def planted(folder: Path) -> Subject:
    """Write one fault for each scanner to find."""
    tree = folder / "planted"
    tree.mkdir()
    manifest, dockerfile, workflow = tree / "manifest.yaml", tree / "Dockerfile", tree / "workflow.yaml"
    container = {"name": "a", "image": "a:latest"}
    spec = {
        "replicass": 1,
        "selector": {},
        "template": {"metadata": {"labels": {}}, "spec": {"containers": [container]}},
    }
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}, "spec": spec}
    manifest.write_text(yaml.safe_dump(deployment))
    dockerfile.write_text("FROM debian\nRUN sudo true\n")
    steps = [{"run": "echo ${{ github.event.issue.title }}"}]
    workflow.write_text(json.dumps({"on": "push", "jobs": {"a": {"runs-on": "ubuntu-latest", "steps": steps}}}))
    # Looks like a token. It is assembled here, so that this file contains none.
    (tree / "token.txt").write_text("token = ghp_" + hashlib.sha256(b"planted").hexdigest()[:36])
    run("git", "init", "-q", tree)
    run("git", "-C", tree, "add", ".")
    run("git", "-C", tree, "-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-q", "-m", "planted")
    return Subject([manifest], dockerfile, [workflow], [workflow], tree, tree)


@functools.cache
def objects(file: Path) -> list[dict[str, Any]]:
    """Return the Kubernetes objects in a file."""
    return [document for document in yaml.safe_load_all(file.read_text()) if document]


def write_schemas(version: str, manifests: list[Path], folder: Path) -> Path:
    """Write the schemas of all kinds in the manifests for kubeconform, which cannot resolve references by URL."""
    folder.mkdir(exist_ok=True)
    kinds = {(manifest["apiVersion"], manifest["kind"]) for file in manifests for manifest in objects(file)}
    for name in ("_definitions.json", *(schemas.kubernetes_file(*kind) for kind in kinds)):
        source = schemas.kubernetes_folder(version) / name
        if source.is_file():
            schema = json.loads(source.read_text().replace("/api/_definitions.json#", "_definitions.json#"))
            schema.pop("$id", None)
            (folder / name).write_text(json.dumps(schema))
    return folder


# --- running them -----------------------------------------------------------------------------------------------------


def tool(name: str) -> Path:
    """Return the path of a tool, built on first use, which takes up to a minute."""
    module = GO_TOOLS[name]

    def build(folder: Path) -> None:
        print(f"go install {module}", file=sys.stderr)
        settings = {"GOBIN": str(folder), "GOFLAGS": "-mod=mod", "CGO_ENABLED": "0"}
        run("go", "install", "-trimpath", "-ldflags", "-s -w", module, env={**os.environ, **settings})

    return cached_folder(clone_paths(REPOSITORY).cache / f"{name}-{module.rpartition('@')[2]}", build) / name


def venv(name: str) -> Path:
    """Return the path of a program in the project's Python environment."""
    return Path(sys.executable).parent / name


def run(*command: str | Path, codes: tuple[int, ...] = (0,), env: dict[str, str] | None = None) -> str:
    """Run a program, and return its output. Raise BrokenScannerError for another exit code than these."""
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode not in codes:
        raise BrokenScannerError(f"{Path(command[0]).name} ended with {done.returncode}: {done.stderr.strip()[-300:]}")
    return done.stdout


@dataclass(frozen=True)
class Verdict:
    """Result of one scanner."""

    findings: list[Finding]
    exempted: list[Finding]
    broken: str | None


def run_scanner(
    scan: Callable[[Subject, Path], Iterator[Finding]], real: Subject, control: Subject, folder: Path
) -> Verdict:
    """Run a scanner. It is broken if it fails, or if it does not find its planted fault."""
    try:
        if not list(scan(control, folder)):
            return Verdict([], [], "does not find the fault planted for it")
        findings = list(scan(real, folder))
    except (BrokenScannerError, OSError, ValueError) as error:
        return Verdict([], [], str(error) or type(error).__name__)
    exempted = [finding for finding in findings if any(exemption.covers(finding) for exemption in EXEMPT)]
    return Verdict([finding for finding in findings if finding not in exempted], exempted, None)


def main() -> int:
    """Print all scanners and findings. Return 1 for a finding, a broken scanner or a stale exemption."""
    console = Console(width=None if sys.stdout.isatty() else 120)
    table = Table("scanner", "findings", "exempted", "planted fault")
    failed = False
    exempted: list[Finding] = []
    with tempfile.TemporaryDirectory(prefix="slipway-scan-") as temporary:
        folder = Path(temporary)
        real, control = project(folder), planted(folder)
        for name, scan in SCANNERS.items():
            verdict = run_scanner(scan, real, control, folder)
            failed = failed or bool(verdict.broken or verdict.findings)
            exempted += verdict.exempted
            count = "-" if verdict.broken else str(len(verdict.findings))
            table.add_row(name, count, str(len(verdict.exempted)), verdict.broken or "found")
            for finding in verdict.findings:
                console.print(f"{name}: {finding.place}: {finding.rule}: {finding.message}", highlight=False)
    console.print(table)
    for exemption in EXEMPT:
        used = sum(exemption.covers(finding) for finding in exempted)
        failed = failed or not used
        where = f" in {exemption.stack}" if exemption.stack else ""
        note = exemption.reason if used else "no finding needs it any more; remove it"
        console.print(f"exempted{where}: {', '.join(sorted(exemption.rules))}: {note}", highlight=False)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
