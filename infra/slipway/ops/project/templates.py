"""The files of a new project, as texts. People edit them afterwards; nothing here is read again."""

from __future__ import annotations

from dataclasses import dataclass

from slipway.ops.project.guess import App
from slipway.settings.sections.app import USER_ID

SCHEMA_LINE = "# yaml-language-server: $schema=schema.json\n"


@dataclass(frozen=True)
class Place:
    """Where the stacks of a new project run, and where their images are."""

    registry: str
    """`registry.example.com/team`."""
    context: str
    """kubeconfig context of the stack local."""
    local_registry: str
    ingress_class: str
    ingress_namespace: str
    """Namespace of the ingress controller in the stack local."""
    ingress_namespace_elsewhere: str
    certificates: str
    """Folder with tls.crt and tls.key for *.slipway.localhost, seen from the project; empty for none."""


PROGRAM = '''"""The program that the engine starts: all of it is in the package `slipway`."""

from slipway import program

program.run()
'''

# A test compares it with tests/test_my_stacks.py of Slipway's own repository.
TESTS = '''\
"""The stacks of this project: each is valid, keeps the house rules, and declares the objects that were reviewed.

This file knows no stack: it works on whatever stacks/ holds.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
STACKS = [file.name[len("Pulumi.") : -len(".yaml")] for file in sorted((PROJECT / "stacks").glob("Pulumi.*.yaml"))]
SCHEMA = PROJECT / "stacks" / "schema.json"


def slipway(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a verb of ./slipway in this project."""
    return subprocess.run(
        [sys.executable, "-m", "slipway", *arguments],
        cwd=PROJECT,
        env={**os.environ, "SLIPWAY_PROJECT": str(PROJECT)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_slipway_lists_the_stacks():
    assert sorted(slipway("stacks").stdout.split()) == sorted(STACKS)


@pytest.mark.parametrize("stack", STACKS)
def test_the_stack_is_valid_keeps_the_rules_and_declares_what_was_reviewed(stack: str):
    done = slipway("check", "-s", stack)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"


@pytest.mark.skipif(not SCHEMA.is_file(), reason="no stacks/schema.json: `./slipway config schema --write` makes it")
def test_editors_check_stack_files_with_the_schema_of_this_version():
    assert json.loads(SCHEMA.read_text()) == json.loads(slipway("config", "schema").stdout), (
        "run `./slipway config schema --write`"
    )
'''

GITIGNORE = (".slipway/", ".venv/", "__pycache__/", "rendered/")
# What is no part of an image that is built from the project's root.
DOCKERIGNORE = (
    ".github",
    "tests/test_my_stacks.py",
    ".gitignore",
    ".dockerignore",
    "**/__pycache__",
    "**/.pytest_cache",
)
SMALL, LARGE = "autoscaling: {min: 1, max: 2}", "autoscaling: {min: 2, max: 10}"


def pulumi_yaml(project: str) -> str:
    """Return Pulumi.yaml."""
    return f"""\
name: {project}
description: {project} on Kubernetes, one stack per environment.
runtime: python
main: infra
stackConfigDir: stacks
"""


def requirements(slipway: str) -> str:
    """Return requirements.txt."""
    return f"# The program and the CLI `slipway`, with what tests/test_my_stacks.py needs.\n{slipway}\n"


def defaults(apps: list[App], place: Place) -> str:
    """Return stacks/defaults.yaml."""
    images = "".join(f"    {image_of(app, place.registry)}\n" for app in apps if not app.image)
    return (
        f"{SCHEMA_LINE}# Defaults of all stacks. Each stack's own file is merged over them; `null` removes a value.\n"
        + "config:\n"
        + (f"  slipway:images:\n{images}" if images else "")
        + "  slipway:services:\n"
        + "".join(service(app) for app in apps)
    )


def image_of(app: App, registry: str) -> str:
    """Return the entry of an image that is built here."""
    return f"{app.name}: {{repository: {registry}/{app.name}, context: {app.context}}}"


def service(app: App) -> str:
    """Return the entry of a service in stacks/defaults.yaml."""
    return f"    {app.name}:\n" + "".join(f"      {line}\n" for line in _service_lines(app))


def _service_lines(app: App) -> list[str]:
    lines = [f"image: {app.image}"] if app.image else []
    lines += ["contract: none # it is told nothing but `env`; not the ports, paths and times of Slipway's own apps"]
    if app.is_worker:
        lines.append("kind: worker # no address and no probes")
    else:
        probes = f"ready: {{path: {app.ready}}}" if app.ready else "ready: {tcp: true}"
        live = f", live: {{path: {app.live}}}" if app.live else ""
        lines += [f"ports: {{http: {app.port}}}", f"probes: {{{probes}{live}}}"]
    if app.user != USER_ID:
        lines.append(f"user: {app.user}")
    if app.memory:
        lines.append(f"resources: {{memory: {app.memory}}}")
    if app.scratch:
        lines.append(f"scratch: {{{app.scratch}: 64Mi}}")
    if app.needs:
        lines.append(f"needs: [{', '.join(app.needs)}]")
    if app.env:
        pairs = ", ".join(f'{name}: "{value}"' for name, value in app.env.items())
        lines.append(f"env: {{{pairs}}}")
    return lines


def local(project: str, apps: list[App], place: Place) -> str:
    """Return stacks/Pulumi.local.yaml."""
    text = f"{SCHEMA_LINE}# local: a cluster on this machine.\nconfig:\n"
    text += f"  slipway:cluster: {{context: {place.context}, ingressNamespace: {place.ingress_namespace}}}\n"
    text += f"  slipway:namespace: {project}-local\n"
    if built := [app for app in apps if not app.image]:
        text += "  slipway:images:\n" + "".join(f"    {_local_image(app, place)}\n" for app in built)
    tls = ""
    if place.certificates:
        text += f"  slipway:secretFiles: {place.certificates} # tls.crt and tls.key for *.slipway.localhost\n"
        tls = ", tls: {secretFiles: true}"
    return text + _services(apps, SMALL, f"host: {{host}}.slipway.localhost, className: {place.ingress_class}{tls}")


def _local_image(app: App, place: Place) -> str:
    # Compiled by Go on this machine: needs neither Docker nor a base image.
    how = f", builder: daemonless, package: {app.package}" if app.package else ""
    return f"{app.name}: {{repository: {place.local_registry}/{app.name}{how}}}"


def dev(project: str, apps: list[App], place: Place) -> str:
    """Return stacks/Pulumi.dev.yaml."""
    about = "built from source at every merge" if any(not app.image for app in apps) else "small, to try changes"
    text = f"{SCHEMA_LINE}# dev: {about}.\n"
    text += f"config:\n  slipway:cluster: {{context: dev, ingressNamespace: {place.ingress_namespace_elsewhere}}}\n"
    text += f"  slipway:namespace: {project}-dev\n"
    return text + _services(apps, SMALL, "host: {host}.dev.example.com, tls: {issuer: letsencrypt}")


def prod(project: str, apps: list[App], place: Place) -> str:
    """Return stacks/Pulumi.prod.yaml."""
    built = [app for app in apps if not app.image]
    about = "the images that ran in dev. At least two pods" if built else "at least two pods"
    text = f"{SCHEMA_LINE}# prod: {about}, always TLS, a protected namespace.\n"
    text += f"config:\n  slipway:cluster: {{context: prod, ingressNamespace: {place.ingress_namespace_elsewhere}}}\n"
    text += f"  slipway:namespace: {project}-prod\n"
    if built:
        text += "  slipway:images:\n" + "".join(f"    {app.name}: {{source: promote, from: dev}}\n" for app in built)
    return text + _services(apps, LARGE, "host: {host}.example.com, tls: {issuer: letsencrypt}")


def _services(apps: list[App], size: str, ingress: str) -> str:
    """Return the services of a stack's file: their size, and the address of those that clients outside reach."""
    inner = {need for app in apps for need in app.needs}
    text = "  slipway:services:\n"
    for app in apps:
        text += sized(app, size)
        if not app.is_worker and app.name not in inner:
            text += f"      ingress: {{{ingress.replace('{host}', app.name)}}}\n"
    return text


def sized(app: App, size: str) -> str:
    """Return the entry of a service in a stack's file."""
    return f"    {app.name}:\n      {size}\n"


def readme(project: str, requirements: str) -> str:
    """Return README.md."""
    return f"""\
# {project} on Kubernetes

```sh
python3 -m venv .venv && . .venv/bin/activate && pip install -r {requirements}
slipway render -s local          # the Kubernetes objects as YAML
slipway check                    # every stack: schema, house rules, references, recorded objects
pulumi login                     # or: pulumi login file://$HOME
pulumi stack init local && slipway up -s local
```

`stacks/` has what each environment is, over `defaults.yaml`; `slipway config show -s prod` prints every setting and the
line it comes from. `slipway new service NAME` and `slipway new stack NAME` add to it. A secret is set by
`pulumi config set --secret slipway:NAME -s STACK`. After a change of objects that is meant, `slipway check --write`
records them; `pytest` runs the same checks. The heads of the workflows in `.github/` say what they do and need.
"""
