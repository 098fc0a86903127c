"""Adoption: objects that existed before the stack are applied under a known field manager (ops/releases/adopt.py).

The provider would choose a random name for the manager. With a known one `./slipway adopt` can transfer the ownership
of fields before the update; the provider remembers the name from then on.
"""

from __future__ import annotations

import os
from typing import Any

import pulumi

OBJECTS = "SLIPWAY_ADOPT"
"""Environment variable with the objects to adopt: type and logical name, `kubernetes:apps/v1:Deployment::api`."""
MANAGER = "pulumi-kubernetes-adopted"
ANNOTATION = "pulumi.com/patchFieldManager"


def declare() -> None:
    """Set the field manager of the objects to adopt, on every resource declared from here on."""
    objects = os.environ.get(OBJECTS, "").split()

    def with_manager(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        if f"{args.type_}::{args.name}" not in objects:
            return None
        metadata: Any = args.props["metadata"]
        metadata.annotations = {**(metadata.annotations or {}), ANNOTATION: MANAGER}
        return pulumi.ResourceTransformationResult(args.props, args.opts)

    if objects:
        pulumi.runtime.register_stack_transformation(with_manager)
