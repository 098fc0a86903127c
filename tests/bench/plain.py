"""The same objects without Slipway: a Pulumi program with a constructor for each, and a chart of Helm."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import yaml

from slipway.objects import Object

NAMESPACE, HELM_NAMESPACE = "slipway-bench", "slipway-bench-helm"
PROJECT = "name: plain\nruntime: python\n"
# Not of a namespace, or with a host that can exist only once.
LEFT_OUT = ("Namespace", "Ingress")
NO_PODS = {"replicas": 0}


def objects_in(folder: Path, namespace: str) -> list[Object]:
    """Return the rendered objects for another namespace. They start nothing: only the engine is measured."""
    found = [cast(Object, yaml.safe_load(file.read_text())) for file in sorted(folder.glob("*.yaml"))]
    return [_moved(one, namespace) for one in found if one["kind"] not in LEFT_OUT]


def _moved(found: Object, namespace: str) -> Object:
    metadata = {key: value for key, value in found["metadata"].items() if key != "namespace"}
    # Pulumi would wait for claims without a pod, and Services without an endpoint.
    annotations = {**metadata.get("annotations", {}), "pulumi.com/skipAwait": "true"}
    moved = {**found, "metadata": {**metadata, "annotations": annotations, "namespace": namespace}}
    stopped = {"Job": {"suspend": True}, "CronJob": {"suspend": True}, "Deployment": NO_PODS, "StatefulSet": NO_PODS}
    if change := stopped.get(found["kind"]):
        moved["spec"] = {**found["spec"], **change}
    return moved


def program(objects: Sequence[Object]) -> str:
    """Return the text of the program: typed classes of pulumi_kubernetes, without a loop or a function."""
    lines = ["import pulumi", "import pulumi_kubernetes as k8s", ""]
    namespace = {"metadata": {"name": NAMESPACE}}
    lines.append(f"namespace = k8s.core.v1.Namespace({NAMESPACE!r}, **{namespace!r})")
    lines.append("opts = pulumi.ResourceOptions(depends_on=[namespace])")
    return "\n".join([*lines, *map(_constructor, objects)]) + "\n"


def _constructor(found: Object) -> str:
    group, _, version = found["apiVersion"].rpartition("/")
    module = f"{group.partition('.')[0] or 'core'}.{version}"
    name = f"{found['kind']}-{found['metadata']['name']}".lower()
    fields = {_snake(key): value for key, value in found.items() if key not in ("apiVersion", "kind", "status")}
    return f"k8s.{module}.{found['kind']}({name!r}, **{fields!r}, opts=opts)"


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])([A-Z])", r"_\1", name).lower()


def write(folder: Path, rendered: Path) -> int:
    """Write the project; return the number of its objects."""
    folder.mkdir()
    objects = objects_in(rendered, NAMESPACE)
    (folder / "Pulumi.yaml").write_text(PROJECT)
    (folder / "__main__.py").write_text(program(objects))
    return len(objects) + 1


def write_chart(folder: Path, rendered: Path) -> Path:
    """Write a chart of the same objects; return its folder."""
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text(yaml.safe_dump({"apiVersion": "v2", "name": "bench", "version": "1.0.0"}))
    text = yaml.safe_dump_all(objects_in(rendered, HELM_NAMESPACE))
    # Texts of objects may contain what a template would replace.
    (folder / "templates" / "all.yaml").write_text(text.replace("{{", "{{ `{{` }}"))
    return folder
