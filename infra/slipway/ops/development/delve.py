"""Delve, the debugger of Go, as the parent of a service's program in its pod (`./slipway dev --debug`).

A process may trace its own child without any capability, as another user than root and in a read-only image.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pulumi

from slipway.image.oci import CONFIG, OciImage
from slipway.objects import Object, dig, items, name_of
from slipway.ops.supply_chain.tools import TOOLCHAIN, GoTool, ToolError, cached, go_environment, run
from slipway.settings.types.units import mebibytes

# MIT, by the Delve authors: https://github.com/go-delve/delve
DELVE = GoTool("github.com/go-delve/delve/cmd/dlv", "v1.27.2")
PATH = "/dlv"
"""Where it is in the image."""
PORT = 2345
"""Its port in the pod and on this machine. In the pod it listens on the loopback only: no network leads there."""
# What it needs beside the program: most of it is what it reads of the program's symbols.
MEBIBYTES = 256
# A process that is paused answers no probe. So many failures take weeks; the first success counts as always.
PATIENCE = 1_000_000
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")


def program(platform: str) -> Path:
    """Return the path of Delve for a platform, compiled first if need be. Raises `pulumi.RunError`."""
    system, architecture = platform.split("/")

    def install(folder: Path) -> None:
        # Not GOBIN, which takes no program for another platform.
        settings = {"GOPATH": str(folder), "GOMODCACHE": run("go", "env", "GOMODCACHE").strip()}
        settings |= {"GOOS": system, "GOARCH": architecture, "GOFLAGS": "-mod=mod", "GOWORK": "off"}
        command = ["go", "install", "-trimpath", "-ldflags", "-s -w", f"{DELVE.package}@{DELVE.version}"]
        run(*command, environment=go_environment({**settings, "GOTOOLCHAIN": TOOLCHAIN}))

    try:
        folder = cached(f"{DELVE.name}-{DELVE.version}-{TOOLCHAIN}-{system}-{architecture}", install)
    except ToolError as error:
        raise pulumi.RunError(f"Delve cannot be compiled: {error}") from None
    return next((folder / "bin").rglob(DELVE.name))


def replaced(deployment: Object, autoscaler: Object | None) -> Object:
    """Return what the release has where a debugged service differs, as `DevBuild.debugged` holds it."""
    name = name_of(deployment)
    container = next(one for one in items(deployment, "spec.template.spec.containers") if one["name"] == name)
    bounds = {key: dig(autoscaler, f"spec.{key}") for key in ("minReplicas", "maxReplicas")}
    return {
        "container": dict(_replaced(container)),
        "replicas": dig(deployment, "spec.replicas"),
        **({"autoscaler": bounds} if autoscaler else {}),
    }


def _replaced(container: Object) -> Iterator[tuple[str, Any]]:
    for probe in PROBES:
        if probe in container:
            yield probe, {"failureThreshold": container[probe].get("failureThreshold", 3)}
    for key in ("command", "args"):
        if key in container:
            yield key, container[key]
    if memory := dig(container, "resources.limits.memory"):
        yield "resources", {"limits": {"memory": memory}}
    if limits := [one for one in items(container, "env") if one["name"] == "GOMEMLIMIT" and "value" in one]:
        yield "env", limits


def debugged(released: Object, image: OciImage) -> Object:
    """Return what a debugged service takes in place of what the release has.

    It has one pod, so that each request comes to the process that the debugger shows.
    """
    container: Object = released.get("container", {})
    changed: Object = {
        probe: {"failureThreshold": max(PATIENCE, container[probe]["failureThreshold"])}
        for probe in PROBES
        if probe in container
    }
    entry, arguments = _entry(image)
    if "command" in container:
        entry, arguments = container["command"], []
    changed["command"] = [*_command(), entry[0], "--", *entry[1:]]
    if given := container.get("args", arguments):
        changed["args"] = given
    if "resources" in container:
        memory = mebibytes(container["resources"]["limits"]["memory"]) + MEBIBYTES
        changed["resources"] = {"limits": {"memory": f"{memory}Mi"}}
        if "env" in container:
            # Delve reads it, too, and would do little else but collect garbage.
            changed["env"] = [{"name": "GOMEMLIMIT", "value": f"{memory * 90 // 100}MiB"}]
    one = {"autoscaler": {"minReplicas": 1, "maxReplicas": 1}} if "autoscaler" in released else {}
    return {"container": changed, "replicas": 1, **one}


def _command() -> list[str]:
    options = ["--headless", "--api-version=2", "--accept-multiclient", "--continue", f"--listen=127.0.0.1:{PORT}"]
    # The kubelet's end of a port-forward belongs to root.
    return [PATH, "exec", *options, "--only-same-user=false"]


def _entry(image: OciImage) -> tuple[list[str], list[str]]:
    """Return ENTRYPOINT and CMD of an image; those of the first platform, where it has several."""
    config = next(blob for blob in image.blobs if blob.media_type == CONFIG)
    run = json.loads(config.content)["config"]
    entry, arguments = run.get("Entrypoint") or [], run.get("Cmd") or []
    return (entry, arguments) if entry else (arguments, [])
