"""`make scan`: the scanners a user would run, over everything this project writes and declares (needs Go).

Manifests are those of every stack and variant. A scanner has to find the fault that is planted for it, or its silence
about the rest counts for nothing. EXEMPT is the one place where a finding may be passed over.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
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
from ops.program import render
from slipway.settings.project import ROOT
from tests import schemas
from tests.schemas import NEWEST, OLDEST
from tests.variants import NAMES, VARIANTS, model

# Name -> what `go install` takes; built once and kept beside the other tools of `make up`.
GO_TOOLS = {
    "kube-score": "github.com/zegl/kube-score/cmd/kube-score@v1.20.0",
    "kubeconform": "github.com/yannh/kubeconform/cmd/kubeconform@v0.8.0",
    "actionlint": "github.com/rhysd/actionlint/cmd/actionlint@v1.7.12",
    "gitleaks": "github.com/zricethezav/gitleaks/v8@v8.30.1",
}


class Finding(NamedTuple):
    """What a scanner has to say about one place."""

    rule: str
    place: str
    message: str


class Exemption(NamedTuple):
    """Rules of a scanner that are not followed, and why."""

    rules: frozenset[str]
    reason: str
    stack: str | None = None
    """The one stack where they are not, variants of it included; None for all."""

    def covers(self, finding: Finding) -> bool:
        """Whether the finding is passed over."""
        name = finding.place.partition(":")[0]
        return finding.rule in self.rules and self.stack in (None, VARIANTS.get(name, (name,))[0])


EXEMPT = [
    Exemption(
        frozenset({"container-image-pull-policy"}),
        "Images are named by digest, so asking the registry again could only fail; with Always, a container could not "
        "even be restarted while the registry is away.",
    ),
    Exemption(
        frozenset({"container-cpu-requests-equal-limits", "container-resource-requests-equal-limits"}),
        "Memory request and limit are equal; CPU limits are higher, since a pod that starts or collects garbage would "
        "be throttled at its request, which costs latency and wins nothing.",
    ),
    Exemption(
        frozenset({"horizontalpodautoscaler-replicas"}),
        "dev runs one pod while nobody uses it: it is the cheapest environment, and nobody's requests are lost there.",
        stack="dev",
    ),
]


@dataclass(frozen=True)
class Subject:
    """What is looked at: everything of this project, or the faults planted to see whether a scanner sees."""

    manifests: list[Path]
    dockerfile: Path
    workflows: list[Path]
    yaml: list[Path]
    tree: Path
    repository: Path


class Broken(Exception):
    """A scanner did not do its work; the message says how."""


# --- the scanners -----------------------------------------------------------------------------------------------------


def kube_score(subject: Subject, folder: Path) -> Iterator[Finding]:
    """All checks, the optional ones too."""
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
    """Every object strictly against the schemas of one version of Kubernetes; one without a schema is a finding."""

    def scan(subject: Subject, folder: Path) -> Iterator[Finding]:
        own = write_schemas(version, subject.manifests, folder / version)
        custom = f"{schemas.CUSTOM}/{{{{ .ResourceKind }}}}-{{{{ .Group }}}}-{{{{ .ResourceAPIVersion }}}}.json"
        locations = ["-schema-location", f"{own}/{{{{ .ResourceKind }}}}{{{{ .KindSuffix }}}}.json"]
        options = ["-strict", "-output", "json", "-verbose", *locations, "-schema-location", custom]
        answered = json.loads(run(tool("kubeconform"), *options, *subject.manifests, codes=(0, 1)))["resources"]
        checked = [found for found in answered if found["status"]]  # none for a document of comments only
        given = sum(len(objects(file)) for file in subject.manifests)
        if len(checked) != given:
            raise Broken(f"looked at {len(checked)} of {given} objects")
        for found in checked:
            if found["status"] != "statusValid":
                yield Finding(found["status"], f"{Path(found['filename']).stem}: {found['name']}", found["msg"])

    return scan


def hadolint(subject: Subject, folder: Path) -> Iterator[Finding]:
    """The Dockerfile, shell commands included."""
    for found in json.loads(run(venv("hadolint"), "--format", "json", subject.dockerfile, codes=(0, 1))):
        yield Finding(found["code"], f"{subject.dockerfile.name}:{found['line']}", found["message"])


def actionlint(subject: Subject, folder: Path) -> Iterator[Finding]:
    """The workflows, the shell scripts inside them included."""
    command = [tool("actionlint"), "-shellcheck", venv("shellcheck"), "-format", "{{json .}}"]
    for found in json.loads(run(*command, *subject.workflows, codes=(0, 1))):
        yield Finding(found["kind"], f"{Path(found['filepath']).name}:{found['line']}", found["message"])


def yamllint(subject: Subject, folder: Path) -> Iterator[Finding]:
    """Stack files, workflows and rendered objects."""
    for line in run(
        venv("yamllint"), "-f", "parsable", "-c", ROOT / ".yamllint", *subject.yaml, codes=(0, 1)
    ).splitlines():
        place, _, message = line.partition(": ")
        yield Finding(message.rpartition("(")[2].rstrip(")"), place, message)


def gitleaks(mode: str) -> Callable[[Subject, Path], Iterator[Finding]]:
    """Secrets in every commit (git) or in the files as they are now (dir)."""

    def scan(subject: Subject, folder: Path) -> Iterator[Finding]:
        where = subject.repository if mode == "git" else subject.tree
        options = ["--no-banner", "--log-level", "error", "--redact", "-i", where, "-f", "json", "-r", "-"]
        for found in json.loads(run(tool("gitleaks"), mode, *options, where, codes=(0, 1))):
            place = found["File"].removeprefix(f"{where}/")
            yield Finding(found["RuleID"], f"{place}:{found['StartLine']} {found['Commit'][:8]}", found["Description"])

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


# --- what they look at ------------------------------------------------------------------------------------------------


def project(folder: Path) -> Subject:
    """Everything there is: rendered objects of each stack and variant, and the files that git knows or would add."""
    manifests = [folder / f"{name}.yaml" for name in NAMES]
    for name, file in zip(NAMES, manifests, strict=True):
        file.write_text(render.one_stream(render.documents(model(name))))
    tree = folder / "tree"
    for name in run("git", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard").splitlines():
        if (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, tree / name)
    workflows = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
    texts = [*manifests, *workflows, *sorted((ROOT / "stacks").glob("*.yaml")), ROOT / "Pulumi.yaml"]
    return Subject(manifests, ROOT / "app" / "Dockerfile", workflows, texts, tree, ROOT)


def planted(folder: Path) -> Subject:
    """One fault for each scanner."""
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
    # As a token looks, put together here so that it is none of this file's.
    (tree / "token.txt").write_text("token = ghp_" + hashlib.sha256(b"planted").hexdigest()[:36])
    run("git", "init", "-q", tree)
    run("git", "-C", tree, "add", ".")
    run("git", "-C", tree, "-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-q", "-m", "planted")
    return Subject([manifest], dockerfile, [workflow], [workflow], tree, tree)


@functools.cache
def objects(file: Path) -> list[dict[str, Any]]:
    """The Kubernetes objects in a file."""
    return [found for found in yaml.safe_load_all(file.read_text()) if found]


def write_schemas(version: str, manifests: list[Path], folder: Path) -> Path:
    """The schemas of all kinds in the manifests, as kubeconform can read them: it knows no references by URL."""
    folder.mkdir(exist_ok=True)
    kinds = {(found["apiVersion"], found["kind"]) for file in manifests for found in objects(file)}
    for name in ("_definitions.json", *(schemas.kubernetes_file(*kind) for kind in kinds)):
        source = schemas.kubernetes_folder(version) / name
        if source.is_file():
            schema = json.loads(source.read_text().replace("/api/_definitions.json#", "_definitions.json#"))
            schema.pop("$id", None)
            (folder / name).write_text(json.dumps(schema))
    return folder


# --- running them -----------------------------------------------------------------------------------------------------


def tool(name: str) -> Path:
    """The program, built on first use: this takes a minute for the larger ones."""
    module = GO_TOOLS[name]

    def build(folder: Path) -> None:
        print(f"go install {module}", file=sys.stderr)
        settings = {"GOBIN": str(folder), "GOFLAGS": "-mod=mod", "CGO_ENABLED": "0"}
        run("go", "install", "-trimpath", "-ldflags", "-s -w", module, env={**os.environ, **settings})

    return cached_folder(clone_paths(ROOT).cache / f"{name}-{module.rpartition('@')[2]}", build) / name


def venv(name: str) -> Path:
    """A program of the project's Python environment."""
    return Path(sys.executable).parent / name


def run(*command: str | Path, codes: tuple[int, ...] = (0,), env: dict[str, str] | None = None) -> str:
    """What a program prints; `Broken` when it ends in another way than the given codes."""
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode not in codes:
        raise Broken(f"{Path(command[0]).name} ended with {done.returncode}: {done.stderr.strip()[-300:]}")
    return done.stdout


@dataclass(frozen=True)
class Verdict:
    """What came of one scanner."""

    findings: list[Finding]
    exempted: list[Finding]
    broken: str | None


def judge(scan: Callable[[Subject, Path], Iterator[Finding]], real: Subject, control: Subject, folder: Path) -> Verdict:
    """Its findings here; broken if it fails, or if it does not find what is planted."""
    try:
        if not list(scan(control, folder)):
            return Verdict([], [], "does not see the fault planted for it")
        found = list(scan(real, folder))
    except (Broken, OSError, ValueError) as error:
        return Verdict([], [], str(error) or type(error).__name__)
    exempted = [finding for finding in found if any(exemption.covers(finding) for exemption in EXEMPT)]
    return Verdict([finding for finding in found if finding not in exempted], exempted, None)


def main() -> int:
    """Print a table of all scanners and every finding; 1 if there is one, or a broken scanner or a stale exemption."""
    console = Console(width=None if sys.stdout.isatty() else 120)
    table = Table("scanner", "findings", "exempted", "planted fault")
    failed = False
    exempted: list[Finding] = []
    with tempfile.TemporaryDirectory(prefix="slipway-scan-") as temporary:
        folder = Path(temporary)
        real, control = project(folder), planted(folder)
        for name, scan in SCANNERS.items():
            verdict = judge(scan, real, control, folder)
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
        told = exemption.reason if used else "nothing needs it any more; take it out"
        console.print(f"exempted{where}: {', '.join(sorted(exemption.rules))}: {told}", highlight=False)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
