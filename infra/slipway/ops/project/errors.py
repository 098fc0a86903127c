"""The error of `slipway init` and `slipway new`."""

from __future__ import annotations

from slipway.ops.errors import UserError


class ProjectError(UserError):
    """A project, a service or a stack cannot be written."""
