"""The workflows of a project on GitHub: the files of `workflows/`, and the action that sets up their runners.

Slipway's own repository has the same workflows; only its action differs, since it has the package as sources.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from slipway.ops.project.guess import Guess

WORKFLOWS = Path(".github") / "workflows"
ACTION = Path(".github") / "actions" / "slipway" / "action.yml"
REPLACE = "`slipway new workflows --replace`"

_TEXTS = sorted((Path(__file__).parent / "workflows").glob("*.yml"))
_ACTION = """\
name: slipway
description: Puts `slipway` on the PATH and, for jobs that read a state or deploy, what reads a state and deploys.
inputs:
  engine:
    description: "true: the Pulumi CLI and, for sources in Go, Go"
    default: "false"
  kubeconfig:
    description: Content of the kubeconfig of the environment
    default: ""
runs:
  using: composite
  steps:
    - uses: actions/setup-python@5fda3b95a4ea91299a34e894583c3862153e4b97 # v7.0.0
      with:
        python-version: "3.11"
        cache: pip
        cache-dependency-path: {requirements}
    - shell: bash
      run: pip install -r {requirements}
{go}    - uses: pulumi/actions@8e5e406f4007fca908480587cb9893c07090f58d # v7.0.0
      if: inputs.engine == 'true'
      with:
        pulumi-version: {pulumi}
    - shell: bash
      if: inputs.kubeconfig != ''
      env:
        KUBECONFIG_CONTENT: ${{{{ inputs.kubeconfig }}}}
      # Not ~/.kube/config, which a machine of your own may have, and keeps after the job.
      run: | # zizmor: ignore[github-env] a fixed path
        install -m 600 /dev/null "$RUNNER_TEMP/kubeconfig"
        printf '%s' "$KUBECONFIG_CONTENT" > "$RUNNER_TEMP/kubeconfig"
        echo "KUBECONFIG=$RUNNER_TEMP/kubeconfig" >> "$GITHUB_ENV"
"""
_GO = """\
    # Keeps what Go has compiled and downloaded. Layers of images are kept by `cache` of the image's section.
    - uses: actions/setup-go@b7ad1dad31e06c5925ef5d2fc7ad053ef454303e # v7.0.0
      if: inputs.engine == 'true'
      with:
        go-version-file: {folder}go.mod
        cache-dependency-path: {folder}go.sum
"""


def files(root: Path, requirements: str) -> dict[Path, str]:
    """Return all files, for a project with its requirements in this file, seen from its root."""
    modules = [module for depth in ("", "*/", "*/*/") for module in sorted(root.glob(f"{depth}go.mod"))]
    folder = (modules[0].parent.relative_to(root).as_posix() + "/").removeprefix("./") if modules else ""
    action = _ACTION.format(
        requirements=requirements,
        go=_GO.format(folder=folder) if modules else "",
        pulumi=metadata.version("pulumi"),  # the CLI has the version of the SDK
    )
    return {root / WORKFLOWS / file.name: file.read_text() for file in _TEXTS} | {root / ACTION: action}


def to_write(root: Path, wanted: Mapping[Path, str], *, replace: bool = False) -> tuple[dict[Path, str], list[Guess]]:
    """Return the files to write, which are those that are missing or to be replaced, and what to say of the others."""
    repository = next((folder for folder in (root, *root.parents) if (folder / ".git").exists()), root)
    if repository != root:
        reason = f"GitHub reads those in {repository} only"
        return {}, [Guess("workflows", "not written", reason, "`slipway init` in that folder")]
    changed = {file: text for file, text in wanted.items() if not file.exists() or file.read_text() != text}
    kept = [file for file in changed if file.exists() and not replace]
    notes = [Guess(file.relative_to(root).as_posix(), "left as it is", "it is there already", REPLACE) for file in kept]
    return {file: text for file, text in changed.items() if file not in kept}, notes
