"""The files of a new project, as texts. People edit them afterwards; nothing here is read again."""

from __future__ import annotations

from dataclasses import dataclass

from slipway.ops.project.guess import App

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
    certificates: str
    """Folder with tls.crt and tls.key for *.slipway.localhost, seen from the project; empty for none."""


PROGRAM = '''"""The program that the engine starts: all of it is in the package `slipway`."""

from slipway import program

program.run()
'''

TESTS = '''"""Tests of this repository's own stacks, which they find by themselves.

`python tests/test_my_stacks.py` records the objects of all stacks anew. Read the difference before you commit it.
"""

import warnings
from pathlib import Path

import pytest

from slipway import testing

GOLDEN = Path(__file__).parent / "golden"
every_stack = pytest.mark.parametrize("stack", testing.stacks())


@every_stack
def test_kubernetes_would_take_every_object(stack: str):
    assert testing.schema_errors(stack) == []


@every_stack
def test_the_house_rules_hold_and_every_reference_leads_somewhere(stack: str):
    for advice in testing.advice(stack):
        warnings.warn(advice, stacklevel=1)
    assert testing.broken_rules(stack) == []


@every_stack
def test_every_object_is_as_it_was_recorded(stack: str):
    assert testing.difference(stack, GOLDEN) == "", "if this is meant: python tests/test_my_stacks.py"


if __name__ == "__main__":
    testing.record(GOLDEN)
'''

GITIGNORE = (".slipway/", ".venv/", "__pycache__/", "rendered/")
# What is no part of an image that is built from the project's root.
DOCKERIGNORE = ("tests/golden", "tests/test_my_stacks.py", ".gitignore", ".dockerignore")


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
    images = "".join(f"    {image_of(app, place)}\n" for app in apps if not app.image)
    return (
        f"{SCHEMA_LINE}# Defaults of all stacks. Each stack's own file is merged over them; `null` removes a value.\n"
        + "config:\n"
        + (f"  slipway:images:\n{images}" if images else "")
        + "  slipway:services:\n"
        + "".join(service(app) for app in apps)
    )


def image_of(app: App, place: Place) -> str:
    """Return the entry of an image that is built here."""
    return f"{app.name}: {{repository: {place.registry}/{app.name}, context: {app.context}}}"


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
    if app.user != 65532:
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
    text += f"  slipway:cluster: {{context: {place.context}}}\n  slipway:namespace: {project}-local\n"
    if built := [app for app in apps if not app.image]:
        text += "  slipway:images:\n" + "".join(f"    {_local_image(app, place)}\n" for app in built)
    tls = ""
    if place.certificates:
        text += f"  slipway:secretFiles: {place.certificates} # tls.crt and tls.key for *.slipway.localhost\n"
        tls = ", tls: {secretFiles: true}"
    rows = ["autoscaling: {min: 1, max: 2}"]
    return text + _services(apps, rows, f"host: {{host}}.slipway.localhost, className: {place.ingress_class}{tls}")


def _local_image(app: App, place: Place) -> str:
    # Compiled by Go on this machine: needs neither Docker nor a base image.
    how = f", builder: daemonless, package: {app.package}" if app.package else ""
    return f"{app.name}: {{repository: {place.local_registry}/{app.name}{how}}}"


def dev(project: str, apps: list[App]) -> str:
    """Return stacks/Pulumi.dev.yaml."""
    text = f"{SCHEMA_LINE}# dev: built from source at every merge.\nconfig:\n"
    text += f"  slipway:cluster: {{context: dev}}\n  slipway:namespace: {project}-dev\n"
    rows = ["autoscaling: {min: 1, max: 2}"]
    return text + _services(apps, rows, "host: {host}.dev.example.com, tls: {issuer: letsencrypt}")


def prod(project: str, apps: list[App]) -> str:
    """Return stacks/Pulumi.prod.yaml."""
    text = f"{SCHEMA_LINE}# prod: the images that ran in dev. At least two pods, always TLS, a protected namespace.\n"
    text += f"config:\n  slipway:cluster: {{context: prod}}\n  slipway:namespace: {project}-prod\n"
    if built := [app for app in apps if not app.image]:
        text += "  slipway:images:\n" + "".join(f"    {app.name}: {{source: promote, from: dev}}\n" for app in built)
    rows = ["autoscaling: {min: 2, max: 10}"]
    return text + _services(apps, rows, "host: {host}.example.com, tls: {issuer: letsencrypt}")


def _services(apps: list[App], rows: list[str], ingress: str) -> str:
    """Return the services of a stack's file: their size, and the address of those that clients outside reach."""
    inner = {need for app in apps for need in app.needs}
    text = "  slipway:services:\n"
    for app in apps:
        text += f"    {app.name}:\n" + "".join(f"      {row}\n" for row in rows)
        if not app.is_worker and app.name not in inner:
            text += f"      ingress: {{{ingress.replace('{host}', app.name)}}}\n"
    return text


def readme(project: str, requirements: str) -> str:
    """Return README.md."""
    return f"""\
# {project} on Kubernetes

```sh
python3 -m venv .venv && . .venv/bin/activate && pip install -r {requirements}
slipway render -s local          # the Kubernetes objects as YAML
pytest tests/test_my_stacks.py   # schema, house rules, references, recorded objects of every stack
pulumi login                     # or: pulumi login file://$HOME
pulumi stack init local && slipway up -s local
```

`stacks/` has what each environment is, over `defaults.yaml`; `slipway config show -s prod` prints every setting and the
line it comes from. `slipway new service NAME` and `slipway new stack NAME` add to it. A secret is set by
`pulumi config set --secret slipway:NAME -s STACK`. After a change of objects that is meant, record them with
`python tests/test_my_stacks.py`.
"""
