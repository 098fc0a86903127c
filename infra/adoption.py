"""What `./slipway adopt` takes over: objects that were there before the stack (ops/adopt.py).

They are applied under a name that is known beforehand, so that what others own can be made that name's before. The
provider would think of a random one, and remembers this one from then on.
"""

from __future__ import annotations

import os
from typing import Any

import pulumi

OBJECTS = "SLIPWAY_ADOPT"
"""The environment variable with the objects: type and logical name, `kubernetes:apps/v1:Deployment::api`."""
MANAGER = "pulumi-kubernetes-adopted"
ANNOTATION = "pulumi.com/patchFieldManager"


def declare() -> None:
    """From here on, name the field manager of each of those objects; nothing unless `./slipway adopt` runs."""
    objects = os.environ.get(OBJECTS, "").split()

    def named(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        if f"{args.type_}::{args.name}" not in objects:
            return None
        metadata: Any = args.props["metadata"]
        metadata.annotations = {**(metadata.annotations or {}), ANNOTATION: MANAGER}
        return pulumi.ResourceTransformationResult(args.props, args.opts)

    if objects:
        pulumi.runtime.register_stack_transformation(named)
