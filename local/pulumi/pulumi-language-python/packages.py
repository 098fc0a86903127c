"""Prints the installed packages as JSON, with what each says about its Pulumi provider plugin (pulumi-plugin.json)."""

import json
import re
from importlib.metadata import Distribution, distributions
from pathlib import Path


def normalized(name: str) -> str:
    """The spelling under which PyPI compares names: "Pulumi_Kubernetes" and "pulumi-kubernetes" are one package."""
    return re.sub(r"[-_.]+", "-", name).lower()


# By name, because a package that two folders of sys.path hold would come twice; the first one is imported.
installed: dict[str, Distribution] = {}
for distribution in distributions():
    installed.setdefault(normalized(distribution.metadata["Name"]), distribution)

required = {
    normalized(re.split(r"[^\w.-]", requirement)[0])
    for distribution in installed.values()
    for requirement in distribution.requires or ()
    if "extra ==" not in requirement
}

packages: list[dict[str, object]] = []
for name, distribution in sorted(installed.items()):
    # By convention the module is named like the package.
    description = Path(str(distribution.locate_file(name.replace("-", "_"))), "pulumi-plugin.json")
    plugin = json.loads(description.read_text("utf-8")) if description.is_file() else None
    packages.append({"name": name, "version": distribution.version, "direct": name not in required, "plugin": plugin})
print(json.dumps(packages))
